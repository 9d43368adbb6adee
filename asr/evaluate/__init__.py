"""asr.evaluate"""
