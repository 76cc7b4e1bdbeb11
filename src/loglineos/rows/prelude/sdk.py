"""The prelude: what ordinary Python has and the sandbox's engine has not, written in its subset.

It runs inside the sandbox, beside the program that imports it (`from sdk import money`): it asks
for nothing, costs no step, and gives the same answer each time. Functions that are named as in
Python's own library answer as they do there. Each execution records the hash of this text.
"""

import copy
import hashlib
import math
import re
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, localcontext

# --- money -------------------------------------------------------------------------------------


def money(value, places=2):
    """Return a Decimal with so many places, halves rounded away from zero: money("2.675") is 2.68.

    Takes int, Decimal and text ("12.5"). A float is refused: it is a cent off before it gets here.
    """
    if isinstance(value, float) or isinstance(value, bool):
        raise ValueError("money: write the amount as text or whole number, not as float")
    with localcontext() as context:
        context.prec = 60
        return Decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def parse_money(text):
    """Read an amount as people write it in Portugal: "1.234,50 €", "12,5", "-3"."""
    bare = text.replace("€", "").replace("EUR", "").replace("\u00a0", " ").strip()
    if not re.fullmatch(r"-?([0-9]{1,3}([. ][0-9]{3})+|[0-9]+)(,[0-9]+)?", bare):
        raise ValueError("parse_money: not an amount: " + text[:40])
    return money(bare.replace(".", "").replace(" ", "").replace(",", "."))


def format_money(value, currency="€"):
    """Write an amount as in Portugal: format_money("1234.5") is "1.234,50 €"."""
    amount = money(value)
    told = f"{amount:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
    return f"{told} {currency}" if currency else told


def cents(value):
    """Return an amount in whole cents: cents("12.50") is 1250."""
    return int(money(value) * 100)


def from_cents(count):
    """Return whole cents as an amount: from_cents(1250) is Decimal("12.50")."""
    return money(Decimal(count) / 100)


def percent(value, rate):
    """Return so many per cent of an amount, to the cent: percent("80", "23") is 18.40."""
    if isinstance(rate, float):
        raise ValueError("percent: write the rate as text or whole number, not as float")
    with localcontext() as context:
        context.prec = 60
        return money(money(value) * Decimal(rate) / 100)


def split_money(total, parts):
    """Share an amount in so many equal parts that add up to it; the first get the odd cents."""
    whole = cents(total)
    sign = -1 if whole < 0 else 1
    share, odd = divmod(abs(whole), parts)
    return [from_cents(sign * (share + (1 if i < odd else 0))) for i in range(parts)]


# --- dates: everything in UTC ------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time(text):
    """Read an RFC 3339 time, with a zone, as an instant in UTC; digits past microseconds fall."""
    found = re.fullmatch(
        r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})",
        text,
    )
    if found is None:
        raise ValueError("parse_time: not an RFC 3339 time: " + text[:40])
    day, clock, fraction, zone = found.groups()
    fraction = (fraction or ".0")[1:7].ljust(6, "0")
    zone = "+00:00" if zone in ("Z", "z") else zone
    return datetime.fromisoformat(f"{day}T{clock}.{fraction}{zone}").astimezone(timezone.utc)


def format_time(instant):
    """Write an instant as the ledger does: "2026-01-02T03:04:05.000000Z". Naive is taken as UTC."""
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=timezone.utc)
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def from_timestamp(seconds):
    """Return the instant so many seconds after 1970 in UTC; takes int, float and Decimal."""
    return _EPOCH + duration(seconds=seconds)


def duration(weeks=0, days=0, hours=0, minutes=0, seconds=0, milliseconds=0, microseconds=0):
    """Return a timedelta; unlike the engine's own, it takes fractions: duration(hours=1.5)."""
    days = days + weeks * 7
    seconds = seconds + minutes * 60 + hours * 3600
    microseconds = microseconds + milliseconds * 1000
    day, day_rest = divmod(days, 1)
    whole, rest = divmod(seconds, 1)
    day_seconds, day_micros = divmod(day_rest * 86400, 1)
    micros = round(rest * 1000000 + day_micros * 1000000 + microseconds)
    return timedelta(days=int(day), seconds=int(whole) + int(day_seconds), microseconds=int(micros))


def as_date(value):
    """Return the day, in UTC, of a date, a datetime or a text ("2026-01-02", or RFC 3339)."""
    if isinstance(value, str):
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
        value = parse_time(value)
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(timezone.utc)
        return date(value.year, value.month, value.day)
    return value


def add_days(value, days):
    """Return the same so many days later: a date, a datetime, or a text like the one given."""
    if not isinstance(value, str):
        return value + timedelta(days=days)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return (date.fromisoformat(value) + timedelta(days=days)).isoformat()
    return format_time(parse_time(value) + timedelta(days=days))


def add_months(value, months):
    """Return the same day so many months later; the last day of a shorter month stands for it."""
    if isinstance(value, str):
        return add_months(as_date(value), months).isoformat()
    year, month = divmod(value.year * 12 + value.month - 1 + months, 12)
    return value.replace(year=year, month=month + 1, day=min(value.day, days_in_month(year, month + 1)))


def days_between(start, end):
    """Return how many days there are from one day to the other, in UTC."""
    return (as_date(end) - as_date(start)).days


def days_in_month(year, month):
    """Return how many days a month has."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def weekday(value):
    """Return the day of the week in UTC: Monday is 0, Sunday is 6."""
    return as_date(value).weekday()


def iso_week(value):
    """Return (year, week, day) as ISO 8601 counts them: Monday is 1."""
    day = as_date(value)
    number = day.weekday() + 1
    thursday = day + timedelta(days=4 - number)
    return (thursday.year, (thursday - date(thursday.year, 1, 1)).days // 7 + 1, number)


def european_time(instant, standard_hours=0):
    """Return an instant in the time of a European place: 0 is Lisbon, 1 Madrid, -1 the Azores.

    Summer time as in the European Union since 1996: from the last Sunday of March to the last of
    October, at 01:00 UTC.
    """
    utc = instant if instant.tzinfo is not None else instant.replace(tzinfo=timezone.utc)
    utc = utc.astimezone(timezone.utc)
    is_summer = _last_sunday(utc.year, 3) <= utc < _last_sunday(utc.year, 10)
    hours = standard_hours + (1 if is_summer else 0)
    return utc.astimezone(timezone(timedelta(hours=hours)))


def _last_sunday(year, month):
    last = datetime(year, month, 31, 1, tzinfo=timezone.utc)
    return last - timedelta(days=(last.weekday() + 1) % 7)


# --- numbers of a list (as Python's statistics) --------------------------------------------------


def mean(data):
    """Return the average, exact before it is rounded once; Decimals give a Decimal."""
    values = _values(data, "mean")
    top, bottom = _sum(values)
    return _number(values, top, bottom * len(values))


def fmean(data):
    """Return the average as a float."""
    values = [float(value) for value in _values(data, "fmean")]
    return math.fsum(values) / len(values)


def median(data):
    """Return the middle value; of an even number of values, the average of the middle two."""
    values = sorted(_values(data, "median"))
    middle = len(values) // 2
    if len(values) % 2:
        return values[middle]
    return (values[middle - 1] + values[middle]) / 2


def median_low(data):
    """Return the middle value; of an even number of values, the lower of the middle two."""
    values = sorted(_values(data, "median_low"))
    return values[(len(values) - 1) // 2]


def median_high(data):
    """Return the middle value; of an even number of values, the higher of the middle two."""
    values = sorted(_values(data, "median_high"))
    return values[len(values) // 2]


def mode(data):
    """Return the value that comes most often; of several, the first."""
    return multimode(_values(data, "mode"))[0]


def multimode(data):
    """Return the values that come most often, in the order in which they first come."""
    counts = {}
    for value in data:
        counts[value] = counts.get(value, 0) + 1
    most = max(counts.values(), default=0)
    return [value for value, count in counts.items() if count == most]


def variance(data):
    """Return the variance of a sample; needs two values."""
    return _spread(data, 1, False)


def pvariance(data):
    """Return the variance of a whole population."""
    return _spread(data, 0, False)


def stdev(data):
    """Return the standard deviation of a sample; needs two values."""
    return _spread(data, 1, True)


def pstdev(data):
    """Return the standard deviation of a whole population."""
    return _spread(data, 0, True)


def quantiles(data, n=4):
    """Return the n - 1 cut points of n equally likely parts (the exclusive method); two values."""
    values = sorted(data)
    if n < 1 or len(values) < 2:
        raise ValueError("quantiles: needs two values and n of at least 1")
    found = []
    for i in range(1, n):
        j = min(max(i * (len(values) + 1) // n, 1), len(values) - 1)
        delta = i * (len(values) + 1) - j * n
        found.append((values[j - 1] * (n - delta) + values[j] * delta) / n)
    return found


def _values(data, name):
    values = list(data)
    if not values:
        raise ValueError(name + ": needs at least one value")
    return values


def _ratio(value):
    """Return a number as an exact (top, bottom)."""
    if isinstance(value, float):
        part, exponent = math.frexp(value)
        top, power = int(part * 9007199254740992), exponent - 53
        return (top * 2**power, 1) if power >= 0 else (top, 2**-power)
    if isinstance(value, Decimal):
        return value.as_integer_ratio()
    return (int(value), 1)


def _sum(values):
    by_bottom = {}
    for value in values:
        top, bottom = _ratio(value)
        by_bottom[bottom] = by_bottom.get(bottom, 0) + top
    top, bottom = 0, 1
    for other, part in by_bottom.items():
        common = bottom * other // math.gcd(bottom, other)
        top = top * (common // bottom) + part * (common // other)
        bottom = common
    return top, bottom


def _number(values, top, bottom):
    if any(isinstance(value, Decimal) for value in values):
        common = math.gcd(top, bottom)
        return Decimal(top // common) / Decimal(bottom // common)
    if any(isinstance(value, float) for value in values):
        return _divide(top, bottom)
    return top // bottom if top % bottom == 0 else _divide(top, bottom)


def _divide(top, bottom):
    common = math.gcd(top, bottom)
    return (top // common) / (bottom // common)


def _spread(data, less, is_root):
    values = list(data)
    count = len(values)
    if count <= less:
        raise ValueError("needs at least " + str(less + 1) + " values")
    parts = [_ratio(value) for value in values]
    bottom = 1
    for _, one in parts:
        bottom = bottom * one // math.gcd(bottom, one)
    tops = [top * (bottom // one) for top, one in parts]
    total = sum(tops)
    squares = count * sum([top * top for top in tops]) - total * total
    below = count * (count - less) * bottom * bottom
    if not is_root:
        return _number(values, squares, below)
    if any(isinstance(value, Decimal) for value in values):
        return _decimal_root(squares, below)
    return _root(squares, below)


def _root(top, bottom):
    """Return the square root of a ratio, rounded once: enough digits, the last one made odd."""
    if top == 0:
        return 0.0
    shift = (_bits(top) - _bits(bottom) - 109) // 2
    if shift >= 0:
        return (_odd_root(top, bottom << (2 * shift)) << shift) / 1
    return _odd_root(top << (-2 * shift), bottom) / (1 << -shift)


def _decimal_root(top, bottom):
    with localcontext() as context:
        context.prec = 60
        exact = (Decimal(top) / Decimal(bottom)).sqrt()
    return +exact


def _odd_root(top, bottom):
    root = math.isqrt(top // bottom)
    return root | (1 if root * root * bottom != top else 0)


def _bits(number):
    return len(bin(number)) - 2


# --- heaps (as Python's heapq) -------------------------------------------------------------------


def heappush(heap, item):
    """Put an item on the heap, a list whose first is its least."""
    heap.append(item)
    place = len(heap) - 1
    while place > 0:
        above = (place - 1) // 2
        if not heap[place] < heap[above]:
            return
        heap[place], heap[above] = heap[above], heap[place]
        place = above


def heappop(heap):
    """Take the least item off the heap."""
    last = heap.pop()
    if not heap:
        return last
    least = heap[0]
    heap[0] = last
    _sink(heap, 0)
    return least


def heapify(items):
    """Make a list a heap, in place."""
    for place in reversed(range(len(items) // 2)):
        _sink(items, place)


def heappushpop(heap, item):
    """Put an item on the heap, then take the least off."""
    if heap and heap[0] < item:
        return heapreplace(heap, item)
    return item


def heapreplace(heap, item):
    """Take the least item off the heap, then put this one on."""
    least = heap[0]
    heap[0] = item
    _sink(heap, 0)
    return least


def nsmallest(n, items, key=None):
    """Return the n least items, the least first."""
    return sorted(items, key=key)[: max(n, 0)]


def nlargest(n, items, key=None):
    """Return the n greatest items, the greatest first."""
    return sorted(items, key=key, reverse=True)[: max(n, 0)]


def _sink(heap, place):
    while True:
        least = place
        for below in (2 * place + 1, 2 * place + 2):
            if below < len(heap) and heap[below] < heap[least]:
                least = below
        if least == place:
            return
        heap[place], heap[least] = heap[least], heap[place]
        place = least


# --- order -----------------------------------------------------------------------------------------


def sort_by(items, compare):
    """Return the items in order; compare(a, b) is negative, zero or positive. Equals stay in order."""
    items = list(items)
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right = sort_by(items[:middle], compare), sort_by(items[middle:], compare)
    found, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if compare(right[j], left[i]) < 0:
            found.append(right[j])
            j += 1
        else:
            found.append(left[i])
            i += 1
    return found + left[i:] + right[j:]


# --- text (as Python's textwrap, re, html and urllib.parse) -------------------------------------------

ascii_lowercase = "abcdefghijklmnopqrstuvwxyz"
ascii_uppercase = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ascii_letters = ascii_lowercase + ascii_uppercase
digits = "0123456789"
hexdigits = "0123456789abcdefABCDEF"
punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def sub(pattern, fn, text, count=0):
    """Replace what fits the pattern by what fn(match) gives; re.sub of the engine takes no function."""
    return subn(pattern, fn, text, count)[0]


def subn(pattern, fn, text, count=0):
    """As sub, and tell how many were replaced."""
    compiled = re.compile(pattern) if isinstance(pattern, str) else pattern
    parts, place, done = [], 0, 0
    for found in compiled.finditer(text):
        if count and done == count:
            break
        parts.append(text[place : found.start()])
        parts.append(fn(found))
        place = found.end()
        done += 1
    parts.append(text[place:])
    return "".join(parts), done


def translate(text, mapping):
    """Replace single characters: translate("olá", {"á": "a"}). None takes a character out."""
    return "".join([mapping.get(one, one) or "" for one in text])


def dedent(text):
    """Take off the white space that all lines begin with."""
    lines = [line if line.strip(" \t") else "" for line in text.split("\n")]
    margin = None
    for line in lines:
        if not line:
            continue
        lead = line[: len(line) - len(line.lstrip(" \t"))]
        if margin is None:
            margin = lead
        while not lead.startswith(margin):
            margin = margin[:-1]
    return "\n".join([line[len(margin or "") :] for line in lines])


def indent(text, prefix):
    """Put a prefix before each line that is not blank."""
    return "".join([(prefix if line.strip() else "") + line for line in text.splitlines(True)])


def wrap(text, width=70):
    """Break a text into lines of at most so many characters, at white space, which becomes one
    space; only words that are too long for a line are broken, none at its hyphens."""
    lines, line = [], ""
    words = [word for word in re.split(r"[\t\n\x0b\x0c\r ]+", text) if word]
    for word in words:
        while word:
            room = width - len(line) - (1 if line else 0)
            if len(word) <= room:
                line = line + (" " if line else "") + word
                word = ""
            elif len(word) > width and room > 0:
                line = line + (" " if line else "") + word[:room]
                word = word[room:]
            if word:
                lines.append(line)
                line = ""
    return lines + ([line] if line else [])


def fill(text, width=70):
    """Break a text into lines, as one text."""
    return "\n".join(wrap(text, width))


def shorten(text, width, placeholder=" [...]"):
    """Cut a text at a word so that it fits in so many characters, and say that it was cut."""
    words = text.split()
    if len(" ".join(words)) <= width:
        return " ".join(words)
    while words and len(" ".join(words)) + len(placeholder) > width:
        words.pop()
    return " ".join(words) + placeholder if words else placeholder.strip()


def html_escape(text, quote=True):
    """Make a text safe within HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#x27;") if quote else text


_ENTITIES = {
    "amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": "\u00a0", "euro": "€",
    "copy": "©", "reg": "®", "hellip": "…", "ndash": "–", "mdash": "—", "laquo": "«", "raquo": "»",
}  # fmt: skip


def html_unescape(text):
    """Turn &amp;, &#231;, &#xe7; and the other common entities back into characters."""
    return sub(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]+);", _entity, text)


def _entity(found):
    name = found.group(1)
    if not name.startswith("#"):
        return _ENTITIES.get(name, found.group(0))
    number = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    if number == 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    return chr(number)


_UNRESERVED = ascii_letters + digits + "_.-~"


def quote(text, safe="/"):
    """Write a text so that it can stand in a URL; letters, digits, _.-~ and `safe` stay."""
    kept = _UNRESERVED + safe
    data = text.encode("utf-8") if isinstance(text, str) else text
    return "".join([chr(one) if one < 128 and chr(one) in kept else f"%{one:02X}" for one in data])


def quote_plus(text, safe=""):
    """As quote, with + for a space: for the values of a form."""
    return quote(text, safe + " ").replace(" ", "+")


def unquote(text):
    """Turn the %XX of a URL back into characters."""
    return sub(r"(%[0-9a-fA-F]{2})+", _unquoted, text)


def _unquoted(found):
    return bytes.fromhex(found.group(0).replace("%", "")).decode("utf-8", errors="replace")


def unquote_plus(text):
    """As unquote, with a space for each +."""
    return unquote(text.replace("+", " "))


def urlencode(values):
    """Write the query of a URL from a dict or a list of pairs."""
    pairs = values.items() if isinstance(values, dict) else values
    return "&".join([quote_plus(str(name)) + "=" + quote_plus(str(value)) for name, value in pairs])


def parse_qsl(query):
    """Read the query of a URL as a list of pairs; names without a value are left out."""
    found = []
    for part in query.split("&"):
        name, sign, value = part.partition("=")
        if sign and value:
            found.append((unquote_plus(name), unquote_plus(value)))
    return found


# --- values (as Python's dataclasses) ------------------------------------------------------------------


def fields(value):
    """Name the fields of a dataclass or of one of its values."""
    return list(value.__dataclass_fields__)


def asdict(value):
    """Return a value of a dataclass as a dict; values within it too."""
    return {name: _plain(getattr(value, name), asdict) for name in fields(value)}


def astuple(value):
    """Return a value of a dataclass as a tuple; values within it too."""
    return tuple([_plain(getattr(value, name), astuple) for name in fields(value)])


def replace(value, **changes):
    """Return a copy of a value of a dataclass with other fields."""
    given = {name: getattr(value, name) for name in fields(value)}
    for name in changes:
        if name not in given:
            raise ValueError("replace: there is no field " + name)
    return type(value)(**{**given, **changes})


def _plain(value, turn):
    if hasattr(value, "__dataclass_fields__"):
        return turn(value)
    if isinstance(value, list):
        return [_plain(one, turn) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one, turn) for key, one in value.items()}
    if type(value) is tuple:
        return tuple([_plain(one, turn) for one in value])
    return copy.copy(value)


# --- bytes, whole numbers and ids ---------------------------------------------------------------------

NAMESPACE_DNS = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
NAMESPACE_URL = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
NAMESPACE_OID = "6ba7b812-9dad-11d1-80b4-00c04fd430c8"


def bytes_of(numbers):
    """Return bytes from numbers of 0 to 255; the engine's own bytes() takes no list."""
    numbers = list(numbers)
    if any([not 0 <= one <= 255 for one in numbers]):
        raise ValueError("bytes_of: each number is from 0 to 255")
    return bytes.fromhex("".join([f"{one:02x}" for one in numbers]))


def int_to_bytes(number, length, byteorder="big", signed=False):
    """Write a whole number in so many bytes, as int.to_bytes does."""
    top = 1 << (8 * length)
    low, high = (-(top // 2), top // 2) if signed else (0, top)
    if number != 0 and not low <= number < high:
        raise OverflowError("int_to_bytes: the number does not fit in so many bytes")
    data = bytes.fromhex(f"{number % top:0{2 * length}x}") if length else b""
    return data if byteorder == "big" else data[::-1]


def int_from_bytes(data, byteorder="big", signed=False):
    """Read a whole number from bytes, as int.from_bytes does."""
    if not data:
        return 0
    number = int((data if byteorder == "big" else data[::-1]).hex(), 16)
    top = 1 << (8 * len(data))
    return number - top if signed and number >= top // 2 else number


def uuid5(namespace, name):
    """Return the UUID that a name has within a namespace (a UUID): always the same. RFC 9562."""
    data = bytes.fromhex(namespace.replace("-", "")) + name.encode("utf-8")
    number = int(hashlib.sha1(data).hexdigest()[:32], 16)
    number = number & ~(0xF000 << 64) | (5 << 76)
    number = number & ~(0xC000 << 48) | (0x8000 << 48)
    told = f"{number:032x}"
    return "-".join([told[:8], told[8:12], told[12:16], told[16:20], told[20:]])


def hmac_sha256(key, data):
    """Return the HMAC-SHA256 of bytes, as bytes: to check what another server has signed. RFC 2104."""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    block = list(key) + [0] * (64 - len(key))
    inner = hashlib.sha256(bytes_of([one ^ 0x36 for one in block]) + data).digest()
    return hashlib.sha256(bytes_of([one ^ 0x5C for one in block]) + inner).digest()
