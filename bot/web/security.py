"""What every response and every request gets: headers, the public host, CSRF, cookies."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Response, request
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from bot.errors import Malformed
from bot.settings import Settings

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
SESSION_HOURS = 12
REQUEST_BYTES_MAX = 256 * 1024
STATIC_SECONDS = 3600
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

csrf = CSRFProtect()


def set_up(app: Flask, settings: Settings) -> None:
    app.config.update(
        SECRET_KEY=settings.secret_key.get_secret_value(),
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS),
        MAX_CONTENT_LENGTH=REQUEST_BYTES_MAX,
        WTF_CSRF_TIME_LIMIT=None,
        SEND_FILE_MAX_AGE_DEFAULT=STATIC_SECONDS,
    )
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]  # Flask's own way
    csrf.init_app(app)
    app.url_map.merge_slashes = False  # or a slash too many is answered with a redirect that holds the whole URL

    @app.before_request
    def _check_host() -> None:
        """Pages and API answer under the public host only, so that no other name can be pointed at them."""
        if request.path.startswith(("/twilio/", "/healthz", "/readyz", "/metrics")):
            return
        if not is_our_host(request.host, settings.public_host):
            raise Malformed("This host name is not the one in PUBLIC_BASE_URL.")

    @app.after_request
    def _add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if settings.is_https:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def is_our_host(host: str, public_host: str) -> bool:
    """The names of this machine itself count as one."""
    host = host.lower()
    return host == public_host or _unaliased(host) == _unaliased(public_host)


def _unaliased(host: str) -> str:
    name, colon, port = host.rpartition(":") if ":" in host and not host.endswith("]") else (host, "", "")
    return f"loopback{colon}{port}" if name in LOOPBACK else host
