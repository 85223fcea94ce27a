# SPDX-License-Identifier: GPL-2.0-or-later
"""Varlink interface descriptions: a parser after the published grammar, and a check of values against it. Written from
the specification alone, so that a reply which its own description does not allow is found by a stranger."""
import re

TOKEN = re.compile(r"(?P<blank>[ \t]+|#[^\n]*)|(?P<newline>\n)|(?P<arrow>->)|(?P<punctuation>[():,?\[\]])|"
                   r"(?P<word>[A-Za-z][A-Za-z0-9_.-]*)")
INTERFACE = re.compile(r"[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+")
MEMBER = re.compile(r"[A-Z][A-Za-z0-9]*")
FIELD = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")
BASIC = {"bool", "int", "float", "string", "object"}


class Mismatch(Exception):
    """A description outside the grammar, or a value outside its description."""


class Parser:
    def __init__(self, text):
        self.tokens = []
        position = 0
        while position < len(text):
            match = TOKEN.match(text, position)
            if not match:
                raise Mismatch(f"unexpected character {text[position]!r} at {position}")
            if match.lastgroup != "blank":
                self.tokens.append((match.lastgroup, match.group()))
            position = match.end()
        self.tokens.append(("end", ""))
        self.position = 0

    def skip(self):
        while self.tokens[self.position][0] == "newline":
            self.position += 1

    def peek(self):
        self.skip()
        return self.tokens[self.position][1]

    def take(self, wanted=None):
        self.skip()
        kind, text = self.tokens[self.position]
        if wanted is not None and text != wanted:
            raise Mismatch(f"{wanted!r} expected, not {text!r}")
        self.position += 1
        return text

    def end_of_line(self):
        if self.tokens[self.position][0] not in ("newline", "end"):
            raise Mismatch(f"a new line expected, not {self.tokens[self.position][1]!r}")

    def name(self, grammar, what):
        text = self.take()
        if not grammar.fullmatch(text):
            raise Mismatch(f"{text!r} is no {what}")
        return text

    def type(self):
        token = self.peek()
        if token == "?":
            self.take()
            if self.peek() == "?":
                raise Mismatch("?? is no type")
            return ("nullable", self.type())
        if token == "[":
            self.take()
            if self.peek() == "string":
                self.take()
                self.take("]")
                return ("map", self.type())
            self.take("]")
            return ("array", self.type())
        if token == "(":
            return self.struct_or_enum()
        self.take()
        if token in BASIC:
            return (token,)
        if not MEMBER.fullmatch(token):
            raise Mismatch(f"{token!r} is no type")
        return ("named", token)

    def struct_or_enum(self):
        self.take("(")
        fields, values = {}, []
        while self.peek() != ")":
            name = self.name(FIELD, "field name")
            if name in fields or name in values:
                raise Mismatch(f"{name} twice")
            if self.peek() == ":":
                self.take()
                fields[name] = self.type()
            else:
                values.append(name)
            if self.peek() != ")":
                self.take(",")
        self.take(")")
        if fields and values:
            raise Mismatch("struct and enum mixed")
        return ("enum", values) if values else ("struct", fields)


class Interface:
    """types, methods (name -> (in, out)) and errors of one description."""

    def __init__(self, text):
        self.text = text
        self.types, self.methods, self.errors = {}, {}, {}
        parser = Parser(text)
        parser.take("interface")
        self.name = parser.name(INTERFACE, "interface name")
        parser.end_of_line()
        while parser.peek():
            self.member(parser)
        for used in re.findall(r"\('named', '(\w+)'\)", repr([self.types, self.methods, self.errors])):
            if used not in self.types:
                raise Mismatch(f"type {used} is not defined")

    def member(self, parser):
        kind = parser.take()
        name = parser.name(MEMBER, "member name")
        if name in self.types or name in self.methods or name in self.errors:
            raise Mismatch(f"member {name} twice")
        if kind == "type":
            self.types[name] = parser.struct_or_enum()
        elif kind == "method":
            arguments = parser.struct_or_enum()
            parser.take("->")
            self.methods[name] = (arguments, parser.struct_or_enum())
        elif kind == "error":
            self.errors[name] = parser.struct_or_enum() if parser.peek() == "(" else ("struct", {})
        else:
            raise Mismatch(f"{kind!r} is no member")
        parser.end_of_line()

    def check(self, declared, value, path):
        """Raises Mismatch, naming the place, when `value` is not of the type `declared`."""
        kind = declared[0]
        if kind == "nullable":
            if value is not None:
                self.check(declared[1], value, path)
        elif kind == "named":
            self.check(self.types[declared[1]], value, path)
        elif kind == "struct":
            self.check_struct(declared[1], value, path)
        elif kind == "enum":
            if value not in declared[1]:
                raise Mismatch(f"{path}: {value!r} is none of {declared[1]}")
        elif kind == "array":
            self.expect(isinstance(value, list), path, "array", value)
            for index, item in enumerate(value):
                self.check(declared[1], item, f"{path}[{index}]")
        elif kind == "map":
            self.expect(isinstance(value, dict), path, "map", value)
            for key, item in value.items():
                self.check(declared[1], item, f"{path}[{key}]")
        else:
            self.check_basic(kind, value, path)

    def check_basic(self, kind, value, path):
        number = isinstance(value, int) and not isinstance(value, bool)
        fits = {
            "bool": isinstance(value, bool),
            "int": number and -2**63 <= value < 2**63,
            "float": number or isinstance(value, float),
            "string": isinstance(value, str),
            "object": isinstance(value, dict),
        }[kind]
        self.expect(fits, path, kind, value)

    def check_struct(self, fields, value, path):
        self.expect(isinstance(value, dict), path, "struct", value)
        for key in value:
            if key not in fields:
                raise Mismatch(f"{path}.{key} is not in the description")
        for name, declared in fields.items():
            if value.get(name) is None and declared[0] != "nullable":
                raise Mismatch(f"{path}.{name} is missing")
            self.check(declared, value.get(name), f"{path}.{name}")

    @staticmethod
    def expect(fits, path, kind, value):
        if not fits:
            raise Mismatch(f"{path}: {value!r} is no {kind}")
