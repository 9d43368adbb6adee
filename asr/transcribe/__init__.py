"""asr.transcribe"""
