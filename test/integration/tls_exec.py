#!/usr/bin/env python3
"""The cases of exec.py in a lab that speaks TLS."""
import os
import sys

os.environ["LAB_TLS"] = "1"
TEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exec.py")
os.execv(sys.executable, [sys.executable, TEST] + sys.argv[1:])
