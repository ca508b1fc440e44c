"""What an operator may choose: a tree of documented dataclasses, and the way from a file and variables to it.

The law of this folder: `model` and everything it is read, checked and shown by is pure; `load`
alone reads files, `documentation` alone reads source text. A new key is one line (and its
docstring) in `model`: the loader, the variables, `config init`, `config show` and the JSON
Schema follow from its type.
"""
