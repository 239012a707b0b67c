"""WP-CLI: how it is called, and what its refusals mean."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wpbg.errors import QueueUnreachable, SiteError, WordPressNotFound, WpCliFailed, WpCliNotFound

# Runs before WordPress: what a job may rely on from the first line of the site's code. The memory limit makes
# WordPress choose its own default for WP_MAX_MEMORY_LIMIT, as on the web; PHP's command line has none. The
# fatal error handler would show a page and send mail about "a critical error"; the job's error says it instead.
WORKER_EXEC = (
    "defined('DOING_BG_WORKER')||define('DOING_BG_WORKER',true);"
    "defined('DOING_ASYNC')||define('DOING_ASYNC',true);"
    "ini_set('memory_limit','256M');"
    "WP_CLI::add_wp_hook('wp_fatal_error_handler_enabled',function(){return false;},PHP_INT_MAX);"
)

SERVE = (
    "if(!class_exists('Background_Worker\\\\Bridge'))"
    "{fwrite(STDERR,'The Background Worker plugin is not active on this site: run `wpbg install`.'.PHP_EOL);exit(3);}"
    "Background_Worker\\Bridge::serve();"
)

BOOT_TIMEOUT = 120.0


def find_wordpress(path: str | None) -> Path:
    """The folder of the site: `path`, else `WPBG_PATH`, else the nearest folder upwards that holds WordPress.

    A folder with a `wp-cli.yml` counts: it tells WP-CLI where WordPress is. Raises `WordPressNotFound`.
    """
    named = path or os.environ.get("WPBG_PATH")
    if named:
        folder = Path(named).expanduser().absolute()
        if not folder.is_dir():
            raise WordPressNotFound(f"{folder} is not a folder: name the folder that holds WordPress with --path.")
        if not _holds_wordpress(folder):
            raise WordPressNotFound(
                f"There is no WordPress in {folder} (no wp-load.php, no wp-cli.yml): name the folder that holds it "
                "with --path."
            )
        return folder
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _holds_wordpress(folder):
            return folder
    raise WordPressNotFound(
        f"There is no WordPress in {here} or above: go to the site's folder, or name it with --path or WPBG_PATH."
    )


def _holds_wordpress(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("wp-load.php", "wp-cli.yml", "wp-cli.local.yml"))


@dataclass(frozen=True)
class WpCli:
    """WP-CLI for one site. `words` is how it is called (`wp`, or `docker compose exec -T web wp`)."""

    words: tuple[str, ...]
    cwd: Path
    url: str | None = None
    allow_root: bool = False
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, wp: str | None, path: str | None, url: str | None) -> WpCli:
        """From what was said on the command line: `wp` (else `WPBG_WP`, else `wp`), `path`, `url`.

        Raises `WordPressNotFound`, or `WpCliNotFound` when there is no such program.
        """
        cwd = find_wordpress(path)
        said = wp or os.environ.get("WPBG_WP") or "wp"
        try:
            words = tuple(shlex.split(said))
        except ValueError as error:
            raise WpCliNotFound(f"--wp {said!r} cannot be split into words ({error}): mind the quotes.") from error
        if not words or shutil.which(words[0]) is None:
            name = words[0] if words else said
            raise WpCliNotFound(
                f"{name!r} is not a program on this machine, and without WP-CLI no job can run: install it "
                "(https://wp-cli.org) or name it with --wp."
            )
        if words[0].startswith("."):
            words = (str(Path(words[0]).absolute()), *words[1:])
        return cls(words, cwd, url, allow_root=os.geteuid() == 0)

    def argv(self, *args: str, url: str | None = None) -> list[str]:
        """The command line for `wp ARGS`, for the site or, with `url`, one of its network."""
        words = [*self.words, *args]
        at = url or self.url
        if at:
            words.append(f"--url={at}")
        if self.allow_root:
            words.append("--allow-root")
        return words

    def environment(self) -> dict[str, str]:
        """What it is run with: ours, without a pager or colours."""
        return {**os.environ, "WP_CLI_DISABLE_AUTO_CHECK_UPDATE": "1", **self.env}

    def serve_argv(self, url: str | None = None, shell: bool = False) -> list[str]:
        """The command line of a PHP process with the bridge in it; with `shell`, one that reads `SERVE` on stdin."""
        command = ["shell", "--basic"] if shell else ["eval", SERVE]
        return self.argv(*command, f"--exec={WORKER_EXEC}", url=url)

    def run(
        self, *args: str, stdin: bytes | None = None, meanwhile: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """`wp ARGS`, whatever its exit code; `meanwhile` is called once it has begun.

        Raises `WpCliNotFound` when it cannot be started at all.
        """
        argv = self.argv(*args)
        try:
            process = subprocess.Popen(
                argv,
                cwd=self.cwd,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise WpCliNotFound(f"{argv[0]} could not be started: {error.strerror or error}.") from error
        with process:
            try:
                if meanwhile is not None:
                    meanwhile()
                said, complained = process.communicate(stdin or b"", timeout=BOOT_TIMEOUT)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise WpCliFailed(
                    f"WP-CLI gave no answer in {BOOT_TIMEOUT:g} s: something in the site waits for an answer. "
                    f"Try `{shlex.join(self.words)} eval 1` in {self.cwd}."
                ) from error
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(argv, process.returncode, said, complained)

    def eval_json(
        self,
        code: str,
        stdin: bytes | None = None,
        plugins: bool = True,
        meanwhile: Callable[[], None] | None = None,
    ) -> Any:
        """Run PHP inside the site; `code` leaves its answer in `$answer`. Raises what `refusal` says.

        Without `plugins`, neither they nor the theme are loaded: a broken one is no obstacle then.
        """
        mark = os.urandom(12).hex()
        bare = [] if plugins else ["--skip-plugins", "--skip-themes"]
        done = self.run(
            "eval", f"{code};echo '{mark}',json_encode($answer),'{mark}';", *bare, stdin=stdin, meanwhile=meanwhile
        )
        pieces = done.stdout.split(mark.encode())
        if len(pieces) < 3:
            raise refusal(done, self)
        return json.loads(pieces[1])


def refusal(done: subprocess.CompletedProcess[bytes], wp: WpCli) -> SiteError | QueueUnreachable:
    """Why WP-CLI did not do what it was asked, from its own words."""
    said = done.stderr.decode("utf-8", "replace") + done.stdout.decode("utf-8", "replace")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("Error:", "PHP Fatal", "PHP Parse", "Fatal error"))]
    last = (errors or lines or [f"exit code {done.returncode}, without a word"])[0 if errors else -1][:300]
    low = said.lower()
    if done.returncode in (126, 127) and "php" in low:
        return WpCliNotFound(
            f"WP-CLI is there, but PHP is not ({last}): install PHP's command line (php-cli), or name PHP in "
            '--wp "/path/to/php /path/to/wp".'
        )
    if done.returncode == 127:
        return WpCliNotFound(f"WP-CLI could not be run ({last}): check --wp {shlex.join(wp.words)!r}.")
    if "database connection" in low or "error establishing" in low:
        return QueueUnreachable(
            f"The site's database cannot be reached ({last.removeprefix('Error: ')}): start the database server, or "
            f"check DB_HOST, DB_USER and DB_PASSWORD in the wp-config.php of {wp.cwd}."
        )
    if "does not seem to be a wordpress" in low or "no wordpress installation" in low:
        return WordPressNotFound(f"WP-CLI finds no WordPress in {wp.cwd}: name its folder with --path.")
    if "wp-config.php' not found" in low:
        return WpCliFailed(f"The WordPress in {wp.cwd} has no wp-config.php yet: set the site up first.")
    if "you have requested is not installed" in low or "wp core install" in low:
        return WpCliFailed(f"The WordPress in {wp.cwd} is not installed yet: run `wp core install`, or check --url.")
    return WpCliFailed(
        f"WP-CLI could not start the WordPress in {wp.cwd}: {last.removeprefix('Error: ')} "
        f"(try `{shlex.join(wp.words)} eval 1` there)."
    )
