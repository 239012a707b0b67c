"""`wpbg jobs add`: through the site's own add_async_job(), so that what it refuses is refused here."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any, NoReturn

import click

from wpbg.cli.desk import Span
from wpbg.cli.options import Target, site_options
from wpbg.errors import PluginNotReady, UsageError, WpbgError

# What the caller said comes over stdin, so that no word of it has to pass a shell or a list of processes.
ADD = """
$in=json_decode(stream_get_contents(STDIN),true);$answer=array();
if(!defined('BACKGROUND_WORKER_VERSION')||!function_exists('add_async_job')){$answer['inactive']=get_option('siteurl');}
else{$data=json_decode($in['data'],true);
if(JSON_ERROR_NONE!==json_last_error()){$answer['json']=json_last_error_msg();}
else{$id=add_async_job(array('function'=>$in['function'],'user_data'=>$data),
isset($in['queue'])?$in['queue']:ABW_QUEUE_NAME,$in['options']);
if(is_wp_error($id)){$about=$id->get_error_data();
$answer['error']=$id->get_error_message();$answer['field']=isset($about['field'])?$about['field']:null;}
else{$answer['id']=(string)$id;}}}
"""

FLAGS = ("queue", "delay", "run_at", "priority", "max_attempts", "backoff", "timeout", "unique", "batch")


class When(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """Unix time, from itself or ISO 8601 (without a zone: this machine's)."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(value)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(str(value).strip().replace("Z", "+00:00")).timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write 2026-12-24T18:00+01:00, or a Unix time.", param, ctx)


@click.command(
    epilog="""\b
Examples:
  wpbg jobs add send_report
  wpbg jobs add send_report --data '{"month": "2026-11"}' --queue mail --priority high
  wpbg jobs add Shop::sync --delay 15m --unique nightly-sync
  wpbg jobs add import_rows --batch import --data - < rows.json
"""
)
@click.argument("function", metavar="FUNCTION")
@click.option("--data", metavar="JSON", help="Its one argument. Objects become PHP arrays; - reads it from stdin.")
@click.option("--queue", metavar="NAME", help="[default: ABW_QUEUE_NAME]")
@click.option("--delay", type=Span(), help="Run it so long from now at the earliest: 90, 15m, 2h, 7d.")
@click.option("--run-at", type=When(), help="Run it then at the earliest: ISO 8601 or Unix time.")
@click.option("--priority", metavar="P", help="high, normal, low or a number; lower numbers run first.")
@click.option("--max-attempts", type=int, metavar="N", help="Runs at most. [default: 3]")
@click.option("--backoff", type=Span(), help="Wait before the second run, doubled for each later one. [default: 30]")
@click.option("--timeout", type=Span(), help="How long a run may take. [default: ABW_TIMELIMIT]")
@click.option("--unique", metavar="KEY", help="If a job of this key is unfinished, add none: print its id.")
@click.option("--batch", metavar="NAME", help="The batch it belongs to.")
@site_options
def add(target: Target, function: str, data: str | None, queue: str | None, **options: Any) -> None:
    """Add a job that calls FUNCTION (a function's name or Class::method), and print its id.

    The site's own add_async_job() adds it: FUNCTION must exist there.
    """
    sent = {
        "function": function,
        "data": json_text(data),
        "queue": queue,
        "options": {name: value for name, value in options.items() if value is not None},
    }
    wp = target.wp_cli()
    told = wp.eval_json("".join(ADD.split("\n")), stdin=json.dumps(sent).encode())
    if "id" not in told:
        refuse(told)
    click.echo(told["id"])


def json_text(said: str | None) -> str:
    """The text of --data, unchanged: PHP reads its numbers itself. Raises `UsageError` when it is no JSON."""
    if said is None:
        return "null"
    text = sys.stdin.read() if said == "-" else said
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        hint = "" if said == "-" else """ Quote it for the shell: --data '{"key": "value"}', --data '"text"'."""
        raise UsageError(f"--data is no JSON ({error}).{hint}") from error
    return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def refuse(told: dict[str, Any]) -> NoReturn:
    """Why the site did not add the job. A value that came from one of our flags is wrong usage."""
    if "inactive" in told:
        raise PluginNotReady(
            f"The Background Worker plugin is not active on {told['inactive']}: run `wpbg install` (or activate it in "
            "wp-admin)."
        )
    if "json" in told:
        raise UsageError(f"PHP cannot read the JSON of --data ({told['json']}).")
    message, field = str(told.get("error", "no reason given")), told.get("field")
    if field in FLAGS:
        raise UsageError(f"--{field.replace('_', '-')}: {message.removeprefix(f'{field}: ')}")
    raise WpbgError(f"The job was not added: {message}")
