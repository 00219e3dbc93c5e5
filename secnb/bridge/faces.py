"""Two faces of one coroutine method: ``f(...)`` blocks, ``await f.aio(...)`` does not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from secnb.bridge.background import Bridge

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


class HasBridge(Protocol):
    """Whatever owns a bridge can have two-faced methods."""

    @property
    def bridge(self) -> Bridge:
        """The bridge that the work runs on."""


class Faces(Protocol[P, R_co]):
    """A method with two faces, ``f(...)`` and ``await f.aio(...)``, of the same signature."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the result; blocks until it is there."""

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the result without blocking the event loop."""


class two_faced(Generic[S_contra, P, R_co]):  # noqa: N801
    """Give a coroutine method a synchronous face, and keep the asynchronous one as ``.aio``.

    Both faces carry the signature and the docstring of the method, so that Shift+Tab shows them.

    Parameters
    ----------
    method : coroutine function
        A method of an object that has a `bridge`.
    """

    def __init__(self, method: Callable[Concatenate[S_contra, P], Coroutine[Any, Any, R_co]]) -> None:
        self._method = method
        signature = inspect.signature(method)
        self._signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        self.__doc__ = method.__doc__
        self.__name__ = method.__name__

    @overload
    def __get__(self, instance: None, owner: type) -> two_faced[S_contra, P, R_co]: ...

    @overload
    def __get__(self, instance: HasBridge, owner: type) -> Faces[P, R_co]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the method bound to `instance`, with both faces."""
        if instance is None:
            return self
        method = self._method

        @functools.wraps(method)
        def face(*args: P.args, **kwargs: P.kwargs) -> R_co:
            return instance.bridge.run(method(instance, *args, **kwargs), owner=instance)  # type: ignore[no-any-return]

        @functools.wraps(method)
        async def aio(*args: P.args, **kwargs: P.kwargs) -> R_co:
            return await instance.bridge.wait(method(instance, *args, **kwargs), owner=instance)  # type: ignore[no-any-return]

        # __wrapped__ would show `self`, and the synchronous face as a coroutine function.
        shown: list[Any] = [face, aio]
        for each in shown:
            del each.__wrapped__
            each.__signature__ = self._signature
        shown[0].aio = aio
        return face
