"""`import ising_exact` finds the exact solutions beside these tests."""

import sys
from pathlib import Path

# tests/ is no package (--import-mode=importlib), so a shared module needs a path
sys.path.insert(0, str(Path(__file__).parent))
