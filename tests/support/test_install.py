from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.chromium import LAUNCH_ARGS, browser_launch_args, chromium_path
from tests.support.missing import MissingPartError


def run_install(*names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.support.install", *names],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )


def make_program(path: Path, exit_code: int) -> Path:
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def test_install_with_all_there_is_silent(tmp_path: Path) -> None:
    browser = make_program(tmp_path / "browser", exit_code=0)
    done = run_install(CHROMIUM=str(browser), TEST_DATABASE_URL="postgresql://127.0.0.1/given")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_install_without_browser_and_apt_says_so_in_one_line(tmp_path: Path) -> None:
    done = run_install("chromium", PATH=str(tmp_path), CHROMIUM="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "chromium: no browser found" in done.stderr
    assert "apt-get install chromium." in done.stderr


def test_install_with_browser_that_does_not_start_fails(tmp_path: Path) -> None:
    browser = make_program(tmp_path / "browser", exit_code=1)
    done = run_install("chromium", PATH=str(tmp_path), CHROMIUM=str(browser))
    assert done.returncode == 1
    assert f"{browser} does not start" in done.stderr


def test_install_of_unknown_part_is_a_usage_error() -> None:
    done = run_install("oracle")
    assert (done.returncode, done.stderr) == (2, "unknown: oracle; known: chromium, postgresql\n")


def test_chromium_path_prefers_what_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = make_program(tmp_path / "browser", exit_code=0)
    make_program(tmp_path / "chromium", exit_code=0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", str(browser))
    assert chromium_path() == browser
    monkeypatch.delenv("CHROMIUM")
    assert chromium_path() == tmp_path / "chromium"


def test_chromium_path_with_wrong_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program(tmp_path / "chromium", exit_code=0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nothing"))
    with pytest.raises(MissingPartError, match="cannot be run"):
        chromium_path()


def test_browser_launch_args_keep_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = make_program(tmp_path / "chromium", exit_code=0)
    monkeypatch.setenv("CHROMIUM", str(browser))
    existing = {"headless": True, "args": ["--lang=en"]}
    assert browser_launch_args(existing) == {
        "headless": True,
        "executable_path": str(browser),
        "args": ["--lang=en", *LAUNCH_ARGS],
    }
    assert existing == {"headless": True, "args": ["--lang=en"]}
