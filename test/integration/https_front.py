#!/usr/bin/env python3
"""The cases of http_front.py, through TLS, and those that are about TLS."""
import os
import sys

FRONT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "http_front.py")
os.execv(sys.executable, [sys.executable, FRONT] + sys.argv[1:] + ["--tls"])
