package lighttpd

// This file: values, and what + and += make of two.

import (
	"strconv"

	"millrace/internal/adapt/document"
)

type shape int

const (
	isText shape = iota
	isNumber
	isList
)

func (s shape) String() string { return [...]string{"a string", "a number", "a list"}[s] }

// value is a string, a number or a list. Values are not changed once they are
// made: variables share them.
type value struct {
	shape  shape
	text   string
	number int64
	items  []item
	at     document.Place
}

// item is one of a list, with the key that it may have.
type item struct {
	key   string
	keyed bool
	at    document.Place // of the key, or the value
	value *value
}

// string is a text, or a number as one.
func (v *value) string() string {
	if v.shape == isNumber {
		return strconv.FormatInt(v.number, 10)
	}
	return v.text
}

// get is the value of a key of a list; nil: it has none.
func (v *value) get(key string) *value {
	for i := range v.items {
		if v.items[i].keyed && v.items[i].key == key {
			return v.items[i].value
		}
	}
	return nil
}

// plus is a + b, at the place of a. The text tells what is wrong; "": nothing.
func plus(a, b *value) (*value, string) {
	sum := *a
	switch {
	case a.shape == isNumber && b.shape == isNumber:
		sum.number += b.number
	case a.shape != isList && b.shape != isList:
		sum.shape, sum.text = isText, a.string()+b.string()
		if len(sum.text) > document.MaxFile {
			return nil, "the string is too long"
		}
	case a.shape != b.shape:
		return nil, "data type mismatch, cannot merge"
	default:
		if len(a.items)+len(b.items) > maxItems {
			return nil, "the list is too long"
		}
		sum.items = append([]item(nil), a.items...)
		keys := make(map[string]*value, len(a.items))
		for _, of := range a.items {
			if of.keyed {
				keys[of.key] = of.value
			}
		}
		for _, of := range b.items {
			if of.keyed {
				if there := keys[of.key]; there != nil {
					if there.shape != isList && there.shape == of.value.shape && there.string() == of.value.string() {
						continue
					}
					return nil, "Duplicate array-key '" + of.key + "'"
				}
			}
			sum.items = append(sum.items, of)
		}
	}
	return &sum, ""
}

// maxItems bounds a list: += may double it with each line.
const maxItems = 100_000
