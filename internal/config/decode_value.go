package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// value decodes a value by its field's type. A value that is refused leaves
// the field as it is.
func (d *decoder) value(at spot, v *value, field reflect.Value) {
	switch to := field.Addr().Interface().(type) {
	case *string:
		decodeTo(to, d.text, at, v)
	case *bool:
		decodeTo(to, d.truth, at, v)
	case **bool:
		var b bool
		if decodeTo(&b, d.truth, at, v) {
			*to = &b
		}
	case *int:
		decodeTo(to, d.count, at, v)
	case *Size:
		decodeTo(to, unit(d, parseSize), at, v)
	case *time.Duration:
		decodeTo(to, unit(d, parseDuration), at, v)
	case *[]string:
		decodeTo(to, d.list, at, v)
	case *Strings:
		decodeTo((*[]string)(to), d.list, at, v)
	case *map[string]string:
		decodeTo(to, d.pairs, at, v)
	case *Lines:
		decodeTo(to, d.lines, at, v)
	case *Preload:
		decodeTo(to, d.preload, at, v)
	case *Immutable:
		decodeTo(to, d.immutable, at, v)
	default:
		// A defect of keys.go, which its test finds.
		panic(fmt.Sprintf("config: %s is of type %s, which no key has", at.name, field.Type()))
	}
}

func decodeTo[T any](to *T, decode func(spot, *value) (T, bool), at spot, v *value) bool {
	got, ok := decode(at, v)
	if ok {
		*to = got
	}
	return ok
}

// wants notes a value of another TOML type.
func (d *decoder) wants(s shape, at spot, v *value) bool {
	if v.shape != s {
		d.refuse(at, v, "is not "+s.String(), "")
		return false
	}
	return true
}

func (d *decoder) text(at spot, v *value) (string, bool) {
	if !d.wants(shapeText, at, v) {
		return "", false
	}
	text := v.text
	if d.expand {
		var bad *refusal
		if text, bad = expand(text); bad != nil {
			d.refuse(at, v, bad.reason, bad.hint)
			return "", false
		}
	}
	if strings.ContainsRune(text, 0) {
		d.refuse(at, v, "holds a NUL character", "")
		return "", false
	}
	return text, true
}

// unit decodes a string that parse reads.
func unit[T any](d *decoder, parse func(string) (T, string)) func(spot, *value) (T, bool) {
	return func(at spot, v *value) (got T, ok bool) {
		if v.shape == shapeInteger || v.shape == shapeFloat {
			d.refuse(at, v, "has no unit", "")
			return got, false
		}
		text, ok := d.text(at, v)
		if !ok {
			return got, false
		}
		got, reason := parse(text)
		if reason != "" {
			d.refuse(at, v, reason, "")
		}
		return got, reason == ""
	}
}

func (d *decoder) truth(at spot, v *value) (bool, bool) {
	return v.text == "true", d.wants(shapeBool, at, v)
}

// preload takes true, false, or "require".
func (d *decoder) preload(at spot, v *value) (Preload, bool) {
	if v.shape == shapeBool || v.shape == shapeText && v.text == "require" {
		return Preload(v.text), true
	}
	d.refuse(at, v, "is neither", "")
	return "", false
}

// immutable takes true, false, or a regexp.
func (d *decoder) immutable(at spot, v *value) (Immutable, bool) {
	if v.shape == shapeBool {
		return Immutable(v.text), true
	}
	if v.shape != shapeText {
		d.refuse(at, v, "is neither", "")
		return "", false
	}
	text, ok := d.text(at, v)
	return Immutable(text), ok
}

// count takes what fits everywhere; that it is at least 0 or 1 is its form's.
func (d *decoder) count(at spot, v *value) (int, bool) {
	if !d.wants(shapeInteger, at, v) {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(v.text, "+"), 0, 64)
	switch {
	case err != nil || n > math.MaxInt32:
		d.refuse(at, v, "is too large", "")
		return 0, false
	case n < 0:
		d.refuse(at, v, "is negative", "")
		return 0, false
	}
	return int(n), true
}

// list takes one string for a list of one.
func (d *decoder) list(at spot, v *value) ([]string, bool) {
	if v.shape == shapeText {
		text, ok := d.text(at, v)
		return []string{text}, ok
	}
	if v.shape != shapeList {
		d.refuse(at, v, "is not a list of strings", "")
		return nil, false
	}
	list, good := make([]string, 0, len(v.items)), true
	for i, item := range v.items {
		of := at
		of.path, of.at = element(at.path, i), item.at
		d.src.give(of.path, of.at)
		text, ok := d.text(of, item)
		list, good = append(list, text), good && ok
	}
	if !good {
		d.src.bad[at.path] = true
	}
	return list, good
}

func (d *decoder) pairs(at spot, v *value) (map[string]string, bool) {
	if !d.wants(shapeTable, at, v) {
		return nil, false
	}
	pairs := make(map[string]string, len(v.table.entries))
	for _, e := range v.table.entries {
		of := spot{path: join(at.path, e.name), name: e.name, where: at.name + " of " + at.where, at: e.at, form: at.form}
		d.src.give(of.path, of.at)
		switch e.value.shape {
		case shapeInteger, shapeFloat, shapeBool:
			d.refuse(of, e.value, "is not a string", fmt.Sprintf("write %s = %s", bareOrQuoted(e.name), quote(e.value.text)))
		default:
			text, ok := d.text(of, e.value)
			if !ok {
				continue
			}
			pairs[e.name] = text
		}
	}
	return pairs, true
}

// lines is pairs in their order.
func (d *decoder) lines(at spot, v *value) (Lines, bool) {
	pairs, ok := d.pairs(at, v)
	if !ok {
		return nil, false
	}
	lines := make(Lines, 0, len(pairs))
	for _, e := range v.table.entries {
		if text, ok := pairs[e.name]; ok {
			lines = append(lines, Line{e.name, text})
		}
	}
	return lines, true
}

// show is a value as messages show it.
func (v *value) show() string {
	switch v.shape {
	case shapeText:
		return quote(v.text)
	case shapeList:
		return "[…]"
	case shapeTable:
		return "{…}"
	}
	return short(v.text)
}

// bareOrQuoted is a name as TOML takes it.
func bareOrQuoted(name string) string {
	if isAppName(name) { // the same characters
		return name
	}
	return quote(name)
}
