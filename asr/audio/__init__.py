"""asr.audio"""
