package gateway

// What a back end is asked for other than an answer (FastCGI 1.0, sections 6.3
// and 6.4): the other side of Front, for a request that is on its way out.

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// Asked is what a request asks of the app or the back end that gets it.
type Asked struct {
	Role Role

	// Data gives the file of a Filter, from its start: each request that is made
	// of it reads it once. DataLength is its bytes, and DataModified its
	// FCGI_DATA_LAST_MOD, in seconds since 1970; 0: not known.
	Data         func() io.Reader
	DataLength   int64
	DataModified int64

	// DataType is the media type of the data. It is told as FCGI_DATA_TYPE, which
	// the specification does not have: a filter of many things has to know.
	DataType string
}

type askedKey struct{}

// Ask returns ctx with what its request asks; nil: an answer. It goes before the
// role of a Front. Whoever makes another request of one that asks, for somebody
// else, takes it away.
func Ask(ctx context.Context, a *Asked) context.Context {
	if before, _ := ctx.Value(askedKey{}).(*Asked); before == nil && a == nil {
		return ctx
	}
	return WithValue(ctx, askedKey{}, a)
}

// AskedOf returns what Ask said of the request with this context, nil if it
// said nothing.
func AskedOf(ctx context.Context) *Asked {
	a, _ := ctx.Value(askedKey{}).(*Asked)
	return a
}

// RoleOf is the role that a request asks for, by Ask or else by its front
// server.
func RoleOf(ctx context.Context) Role {
	if a := AskedOf(ctx); a != nil {
		return a.Role
	}
	if front := FrontOf(ctx); front != nil {
		return front.Role
	}
	return Responder
}

// append appends the parameters that belong to a role.
func (a *Asked) append(params []Param) []Param {
	params = append(params, Param{"FCGI_ROLE", a.Role.String()})
	if a.Role != Filter {
		return params
	}
	params = append(params,
		Param{"FCGI_DATA_LENGTH", strconv.FormatInt(a.DataLength, 10)},
		Param{"FCGI_DATA_LAST_MOD", strconv.FormatInt(a.DataModified, 10)},
	)
	if a.DataType != "" {
		params = append(params, Param{"FCGI_DATA_TYPE", a.DataType})
	}
	return params
}

// forAuthorizer takes away what an authorizer is not told: what belongs to the
// program that will answer, and to its body (FastCGI 1.0, section 6.3).
func forAuthorizer(params []Param) []Param {
	return slices.DeleteFunc(params, func(p Param) bool {
		switch p.Name {
		case "CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME":
			return true
		}
		return false
	})
}

// ShowVariables puts what an authorizer added into a header, as its own
// Variable-* headers, for a response that goes to whoever asked. A response
// that goes to a client has none.
func (h *Head) ShowVariables(ctx context.Context, header http.Header) {
	if len(h.Variables) == 0 || RoleOf(ctx) != Authorizer {
		return
	}
	for _, v := range h.Variables {
		header[variablePrefix+v.Name] = append(header[variablePrefix+v.Name], v.Value)
	}
}

// Variables takes the Variable-* headers of an authorizer's answer out of a
// header, in the order of their names.
func Variables(header http.Header) []Param {
	var all []Param
	for name, values := range header {
		if len(name) > len(variablePrefix) && name[:len(variablePrefix)] == variablePrefix {
			for _, value := range values {
				all = append(all, Param{name[len(variablePrefix):], value})
			}
			delete(header, name)
		}
	}
	slices.SortStableFunc(all, func(a, b Param) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return all
}
