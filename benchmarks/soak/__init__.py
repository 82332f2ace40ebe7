"""A traced service under load for hours: what grows?"""
