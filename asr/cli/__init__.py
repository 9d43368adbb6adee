"""asr.cli"""
