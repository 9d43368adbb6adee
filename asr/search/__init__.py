"""asr.search"""
