"""Run the command line as ``python -m spectroflow_cli``."""

from __future__ import annotations

from spectroflow_cli.main import app

if __name__ == "__main__":
    app(prog_name="spectroflow")
