"""asr.frontend"""
