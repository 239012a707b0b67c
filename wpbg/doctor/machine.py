"""WP-CLI and PHP, before any WordPress is loaded."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from wpbg.doctor.finding import Finding, wrong
from wpbg.wp import WpCli, refusal

PHP_MINIMUM = (7, 4)

ASK = (
    "$u=function_exists('posix_geteuid')?posix_geteuid():null;$p=null===$u?null:posix_getpwuid($u);"
    "$answer=array('wp_cli'=>WP_CLI_VERSION,'php'=>PHP_VERSION,'binary'=>PHP_BINARY,'uid'=>$u,"
    "'user'=>$p?$p['name']:get_current_user(),'extensions'=>array_map('strtolower',get_loaded_extensions()),"
    "'disabled'=>array_values(array_filter(array('pcntl_signal','pcntl_alarm','pcntl_fork','pcntl_exec','posix_kill'),"
    "function($f){return !function_exists($f);})))"
)

EXTENSIONS = {
    "json": "php-json",
    "mbstring": "php-mbstring",
    "pcntl": "php-cli",
    "posix": "php-cli",
}
"""What every site needs, and the Debian package it is in."""


@dataclass(frozen=True)
class Machine:
    """What WP-CLI runs on. `uid` is None where PHP has no posix extension."""

    wp_cli: str
    php: str
    binary: str
    uid: int | None
    user: str
    extensions: frozenset[str]
    disabled: tuple[str, ...]

    @classmethod
    def ask(cls, wp: WpCli) -> Machine:
        """Run WP-CLI without WordPress. Raises what `refusal` says."""
        mark = secrets.token_hex(12)
        done = wp.run("eval", f"{ASK};echo '{mark}',json_encode($answer),'{mark}';", "--skip-wordpress")
        pieces = done.stdout.split(mark.encode())
        if len(pieces) < 3:
            raise refusal(done, wp)
        told = json.loads(pieces[1])
        return cls(
            **{name: told[name] for name in ("wp_cli", "php", "binary", "uid", "user")},
            extensions=frozenset(told["extensions"]),
            disabled=tuple(told["disabled"]),
        )


def check_machine(wp: WpCli, machine: Machine) -> Iterator[Finding]:
    """The versions, and what PHP has to be able to do."""
    yield Finding("WP-CLI", f"{machine.wp_cli} ({' '.join(wp.words)})")
    if version(machine.php) < PHP_MINIMUM:
        at_least = ".".join(map(str, PHP_MINIMUM))
        yield wrong(
            "PHP",
            f"{machine.binary} is PHP {machine.php}; {at_least} or newer is needed. Install one, or name it in --wp.",
            'wpbg doctor --wp "/path/to/php /path/to/wp"',
        )
    else:
        yield Finding("PHP", f"{machine.php} ({machine.binary})")
    lacking = [name for name in EXTENSIONS if name not in machine.extensions]
    if lacking:
        packages = sorted({EXTENSIONS[name] for name in lacking})
        yield wrong(
            "PHP extensions",
            f"{', '.join(lacking)} missing from {machine.binary}.",
            f"apt-get install {' '.join(packages)}  (Docker: docker-php-ext-install {' '.join(lacking)})",
        )
    elif machine.disabled:
        yield wrong(
            "PHP extensions",
            f"php.ini's disable_functions switches off {', '.join(machine.disabled)}: allow them on the command line.",
            f"{machine.binary} --ini",
        )
    else:
        yield Finding("PHP extensions", ", ".join(EXTENSIONS))


def version(text: str) -> tuple[int, ...]:
    """The numbers of a version; what follows them (`-RC1`) is left aside."""
    numbers: list[int] = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
