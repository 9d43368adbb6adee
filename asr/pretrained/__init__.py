"""asr.pretrained"""
