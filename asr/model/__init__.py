"""asr.model"""
