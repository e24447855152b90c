"""The review's page over HTTP, for the person at this machine alone.

It listens on this host only. A page of another site could still send requests here, by a form or
by a name that it lets point to this host; so the host's name, the origin of what changes anything
and the type of its content are checked, and no page may frame this one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from blemish.core.errors import UserError
from blemish.review.session import Changed, Session

HOST = "127.0.0.1"
NAMES = [HOST, "localhost"]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LARGEST = 64 * 1024  # bytes of a request


def make_app(session: Session) -> Flask:
    """The application; each answer is one of `session`'s."""
    app = Flask(__name__)
    app.config.update(TRUSTED_HOSTS=NAMES, MAX_CONTENT_LENGTH=LARGEST)
    app.before_request(_refuse_other_sites)
    app.after_request(_with_headers)
    app.register_error_handler(UserError, _said)
    app.register_error_handler(HTTPException, _refused)

    @app.get("/")
    def page() -> str:
        return render_template("review.html", unit=session.unit)

    @app.get("/images")
    def images() -> Response:
        return jsonify(images=session.images(), rows=session.rows(), kinds=session.kinds())

    @app.get("/images/<key>")
    def details(key: str) -> Response:
        return jsonify(session.details(key))

    @app.get("/images/<key>/<view>.png")
    def picture(key: str, view: str) -> Response:
        return Response(session.picture(key, view == "overlay"), mimetype="image/png")

    @app.get("/rows")
    def rows() -> Response:
        return jsonify(rows=session.rows(_since(request.args)))

    @app.post("/decide")
    def decide() -> Response:
        given = _fields("key", "digest", "decision", "defect")
        session.decide(*given)
        return jsonify(rows=session.rows(_since(request.get_json())))

    @app.post("/undo")
    def undo() -> Response:
        (key,) = _fields("key")
        session.undo(key, _number(request.get_json(), "number"))
        return jsonify(rows=session.rows(_since(request.get_json())))

    return app


@contextmanager
def serving(session: Session, port: int) -> Iterator[BaseWSGIServer]:
    """A server of the application; port 0 is any free one. Raises UserError for one in use."""
    try:
        server = make_server(HOST, port, make_app(session), threaded=True, request_handler=_Quiet)
    except (OSError, SystemExit):  # of which werkzeug raises the second, having said why
        raise UserError(f"port {port} is in use: give another with `--port`") from None
    try:
        yield server
    finally:
        server.server_close()


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """No line a request: people see what they do."""


def _refuse_other_sites() -> None:
    """Let pass what this page itself asks for. Flask has checked the host's name by then."""
    own = f"http://{request.host}"
    origin = request.headers.get("Origin")
    changes = request.method not in {"GET", "HEAD"}
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if (origin is None and changes) or (origin is not None and origin != own):
        raise Forbidden("asked for by a page of another origin")
    if site not in {"same-origin", "none"}:
        raise Forbidden("asked for by a page of another site")
    if changes and not request.is_json:
        raise Forbidden("expected JSON")


def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


def _said(error: UserError) -> tuple[Response, int]:
    status = HTTPStatus.CONFLICT if isinstance(error, Changed) else HTTPStatus.BAD_REQUEST
    return jsonify(error=str(error)), status


def _refused(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=f"{error.name}: {error.description}"), error.code or 500


def _fields(*names: str) -> list[str]:
    given: Any = request.get_json()
    found = [given.get(name, "") if isinstance(given, dict) else None for name in names]
    texts = [value for value in found if isinstance(value, str)]
    if len(texts) < len(names):
        raise UserError(f"expected JSON with texts {', '.join(names)}")
    return texts


def _since(given: Any) -> int:
    return _number(given, "since")


def _number(given: Any, name: str) -> int:
    get: Callable[..., Any] = given.get
    try:
        return max(0, int(get(name, 0)))
    except (TypeError, ValueError):
        raise UserError(f"`{name}` is no number") from None
