"""Every request comes from another address: too many failed logins of one are answered with 429, and schemathesis tries wrong
credentials with every operation. The test makes the API believe its X-Forwarded-For."""

import itertools

import schemathesis

NUMBERS = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(NUMBERS)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
