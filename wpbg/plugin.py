"""The bundled WordPress plugin: where it is, and how it gets into a site."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from wpbg.errors import SiteError, WpCliFailed
from wpbg.wp import WpCli, refusal

FOLDER = "background-worker"
MAIN_FILE = "background-worker.php"

# Runs inside the site, so that it works through any wrapper around WP-CLI and the files belong to the user the
# site's WP-CLI runs as. The new folder is complete before the old one moves out of the way.
UNPACK = """
$in=json_decode(stream_get_contents(STDIN),true);$to=WP_PLUGIN_DIR.'/'.$in['folder'];$new=$to.'.new-'.getmypid();
$old=$to.'.old-'.getmypid();$answer=array('to'=>$to);
$drop=function($d)use(&$drop){foreach(array_diff((array)@scandir($d),array('.','..'))as$f){$p="$d/$f";
is_dir($p)&&!is_link($p)?$drop($p):@unlink($p);}@rmdir($d);};
if(is_link($to)){$answer['kept']='link';}
elseif(is_file("$to/.git")||is_dir("$to/.git")){$answer['kept']='checkout';}
else{$ok=@mkdir($new,0755,true);foreach($in['files']as$name=>$data){$file="$new/$name";
$ok=$ok&&(is_dir(dirname($file))||@mkdir(dirname($file),0755,true));
$bytes=base64_decode($data);$ok=$ok&&strlen($bytes)===@file_put_contents($file,$bytes)&&@chmod($file,0644);}
$was=is_dir($to);$ok=$ok&&(!$was||@rename($to,$old));$ok=$ok&&@rename($new,$to);
if(!$ok){$e=error_get_last();$answer['error']=$e?$e['message']:'unknown';if($was&&!is_dir($to))@rename($old,$to);$drop($new);}
elseif($was){$drop($old);}
$u=function_exists('posix_geteuid')?posix_getpwuid(posix_geteuid()):null;$answer['user']=$u?$u['name']:get_current_user();}
"""

ENSURE = (
    "try{\\Background_Worker\\Schema::install();$answer=array('version'=>(int)get_site_option('ABW_DB_VERSION',0));}"
    "catch(\\Throwable $e){$answer=array('error'=>$e->getMessage());}"
)


def bundled() -> Path:
    """The plugin's folder: beside this package's code in a checkout, inside it in an installed wheel."""
    here = Path(__file__).resolve().parent
    for folder in (here / "plugin", here.parent / "php-plugin"):
        if (folder / MAIN_FILE).is_file():
            return folder
    raise SiteError(
        "This wpbg was installed without its WordPress plugin: install it again (pip install --force-reinstall wpbg)."
    )


def bundled_version() -> str:
    """The version in the header of the bundled plugin."""
    for line in (bundled() / MAIN_FILE).read_text(encoding="utf-8").splitlines():
        if line.strip(" *").startswith("Version:"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def unpack(wp: WpCli) -> dict[str, Any]:
    """Put the bundled plugin into the site's plugin folder; says where, and `kept` when a link or checkout is there.

    Raises `SiteError` when the folder cannot be written, with the user that tried.
    """
    source = bundled()
    files = {
        str(file.relative_to(source)): base64.b64encode(file.read_bytes()).decode()
        for file in sorted(source.rglob("*"))
        if file.is_file()
    }
    sent = json.dumps({"folder": FOLDER, "files": files}).encode()
    told: dict[str, Any] = wp.eval_json("".join(UNPACK.split("\n")), stdin=sent, plugins=False)
    if "error" in told:
        raise SiteError(
            f"The plugin could not be written to {told['to']} as user {told['user']!r} ({told['error']}): run this as "
            "the user the site's files belong to, such as `sudo -u www-data wpbg install`."
        )
    return told


def activate(wp: WpCli, network: bool) -> tuple[int, list[str]]:
    """Activate the plugin, on the whole network where there is one, and bring its tables up.

    Their version, and what WordPress warned of meanwhile (such as an older plugin that gave way). Raises
    `WpCliFailed` with WordPress's or the database's own reason.
    """
    done = wp.run("plugin", "activate", FOLDER, *(["--network"] if network else []))
    if done.returncode != 0:
        raise refusal(done, wp)
    told = wp.eval_json(ENSURE)
    if "error" in told:
        raise WpCliFailed(f"The plugin is active, but its tables could not be made: {told['error']}")
    said = done.stderr.decode("utf-8", "replace").splitlines()
    warnings = [line.removeprefix("Warning: ") for line in said if line.startswith("Warning: ")]
    return int(told["version"]), [line for line in warnings if "already active" not in line]
