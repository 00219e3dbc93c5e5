"""A name is that of a secret by its words, and not because such letters are in it."""

from __future__ import annotations

import pytest

from secnb.core.secret_names import is_secret_key, is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "rtsp_password",
            "RTSP_URL",
            "rtsp_username",
            "api-key",
            "refresh_token",
            "client_secret",
            "key_hash",
        ),
        *(
            "pwd",
            "usrPwd",
            "newpwd",
            "pass",
            "camera_pass",
            "userPass",
            "PASS",
            "pass2",
            "passcode",
            "passwd",
        ),
        *("private_key", "accessKeyId", "x-api-key", "auth", "X-Auth", "pin", "camera.pin", "PIN", "Cookie"),
        *("Set-Cookie", "jwt", "psk", "APIKey", "webhook_url", "tokens"),
    ],
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("camera_id", "key", "keys", "summary", "rtsp_enabled", "passed", "PASSED", "n_passed", "bypass"),
        *(
            "compass",
            "passage",
            "pinned",
            "spin",
            "pinewood",
            "shopping",
            "author",
            "authorised",
            "co-author",
        ),
        *("monkey_path", "tokenizer", "auth_type", "pass_count", "password_changed_at", "token_count", ""),
    ],
)
def test_names_of_ordinary_things(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize("key", ["session:token:7", "camera:porch:pass", "auth:7", "camera_pwd", "cookie:7"])
def test_keys_of_secrets(key):
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    ["batch:mountain_pass:current", "batch:1", "detections:stream", "camera:pin_oak:last", "llm:token_count"],
)
def test_keys_of_ordinary_things(key):
    """A camera may be called like a secret."""
    assert not is_secret_key(key)
