// Package jsonc reads JSON the way the reference dev container CLI reads a
// devcontainer.json: by jsonc-parser's function parse, with default options
// (https://github.com/microsoft/node-jsonc-parser, version 3.3.1).
//
//	Parse(text, maxNesting)  the value of a text, and its first fault
//
// That parser never refuses a text. It skips what it can't use and goes on, so
// comments, trailing commas, missing commas, unquoted words and unclosed
// brackets all lead to some value. This package leads to the same value: a test
// compares both on thousands of texts.
//
// Values are JavaScript's. Strings consist of UTF-16 code units, so a surrogate
// may stand alone. Members have the order of JavaScript's properties. Numbers
// are float64 and are written as JavaScript writes them.
package jsonc
