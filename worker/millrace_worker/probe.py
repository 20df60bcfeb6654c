"""Asks a project what it is, before anything of it is served.

    python -c BOOTSTRAP LABEL callables FILE...     which names do these files bind?
    python -c BOOTSTRAP LABEL django FOLDER         what does this Django project serve, and where?

The answer is one JSON object on descriptor 3: standard output belongs to the
project, whose settings may print.  Either {"ok": ...} or {"error": traceback}.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import traceback
from typing import Any, Callable, Dict, Iterator, List

ANSWER_FD = 3
MAX_SOURCE = 1 << 20  # bytes of a file that is looked into
MAX_FOLDERS = 1000  # folders of the staticfiles finders


def main() -> None:
    """Run one question and answer it."""
    os.set_inheritable(ANSWER_FD, False)  # not for what the settings start
    questions: Dict[str, Callable[[List[str]], Any]] = {"callables": callables, "django": django}
    question, arguments = questions[sys.argv[2]], sys.argv[3:]
    try:
        answer = {"ok": question(arguments)}
    except BaseException as exc:  # settings may raise SystemExit and worse
        answer = {"error": own_traceback(exc)}
    try:
        with os.fdopen(ANSWER_FD, "w", encoding="ascii") as out:
            json.dump(answer, out)
            out.write("\n")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what the project printed
    finally:
        os._exit(0)  # no atexit function or thread of the project holds us


def own_traceback(exc: BaseException) -> str:
    """The traceback without the frames of this program."""
    tb = exc.__traceback__
    while tb is not None and tb.tb_next is not None:
        if not tb.tb_frame.f_code.co_filename.startswith("<millrace"):
            break
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(exc), exc, tb))


# --- which callable does a file define?


def callables(paths: List[str]) -> List[Dict[str, Any]]:
    """The names that each file binds at its top level; the files are not executed."""
    return [file_names(path) for path in paths]


def file_names(path: str) -> Dict[str, Any]:
    with open(path, "rb") as f:
        source = f.read(MAX_SOURCE + 1)
    if len(source) > MAX_SOURCE:
        return {"names": [], "error": "larger than %d bytes" % MAX_SOURCE}
    try:
        tree = ast.parse(source, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        return {"names": [], "error": "".join(traceback.format_exception_only(type(exc), exc))}
    return {"names": sorted(set(bound_names(tree.body))), "error": ""}


def bound_names(body: List[ast.stmt]) -> Iterator[str]:
    """Names bound by statements that run on import; "*" for a star import."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from target_names(target)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield from target_names(node.target)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        elif is_main_guard(node):
            continue  # does not run on import
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from bound_names(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from bound_names(handler.body)


def is_main_guard(node: ast.stmt) -> bool:
    """Is this "if __name__ == ...:"?"""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )


def target_names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from target_names(element)


# --- what does a Django project serve?


def django(arguments: List[str]) -> Dict[str, Any]:
    """Settings of the project in the folder; DJANGO_SETTINGS_MODULE names them."""
    sys.path.insert(0, arguments[0])
    import django as package
    from django.conf import settings

    static_root = path_setting(settings, "STATIC_ROOT")
    answer: Dict[str, Any] = {
        "version": package.get_version(),
        "settings": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        "debug": bool(settings.DEBUG),
        "wsgi": str(settings.WSGI_APPLICATION or ""),
        "static_url": str(settings.STATIC_URL or ""),
        "static_root": static_root,
        "media_url": str(settings.MEDIA_URL or ""),
        "media_root": path_setting(settings, "MEDIA_ROOT"),
        "private": private_files(settings),
        "finders": None,
        "unlisted": [],
    }
    installed = "django.contrib.staticfiles" in settings.INSTALLED_APPS
    if installed and answer["static_url"] and not os.path.isdir(static_root):
        package.setup()
        folders, unlisted = finder_folders()
        answer["finders"], answer["unlisted"] = folders[:MAX_FOLDERS], unlisted
    return answer


def path_setting(settings: Any, name: str) -> str:
    value = getattr(settings, name, None)
    return os.path.abspath(os.fspath(value)) if value else ""


def private_files(settings: Any) -> List[str]:
    """Files that no folder of the site may give away: the settings and file databases."""
    found = []
    module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
    if getattr(module, "__file__", None):
        found.append(os.path.abspath(str(module.__file__)))  # type: ignore[union-attr]
    databases = getattr(settings, "DATABASES", None) or {}
    for database in databases.values():
        name = database.get("NAME")
        if name and "sqlite" in str(database.get("ENGINE", "")) and os.path.isfile(str(name)):
            found.append(os.path.abspath(str(name)))
    return found


def finder_folders() -> Any:
    """Folders of the staticfiles finders, in the order in which they are searched,
    and the names of finders that have none to show."""
    from django.contrib.staticfiles.finders import get_finders

    folders: List[Dict[str, str]] = []
    unlisted: List[str] = []
    for finder in get_finders():
        name = type(finder).__name__
        storages = getattr(finder, "storages", None)
        if storages is None and hasattr(finder, "storage"):
            storages = {name: finder.storage}
        located = {
            str(label): storage for label, storage in (storages or {}).items() if getattr(storage, "location", None)
        }
        if storages is None or len(located) < len(storages):
            unlisted.append(name)
        for label, storage in located.items():
            folders.append(
                {
                    "label": label,
                    "prefix": str(getattr(storage, "prefix", None) or "").strip("/"),
                    "folder": os.path.abspath(str(storage.location)),
                }
            )
    return folders, unlisted
