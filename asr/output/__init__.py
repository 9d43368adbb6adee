"""asr.output"""
