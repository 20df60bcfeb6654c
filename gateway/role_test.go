package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// TestAsk is what a back end gets in each role.
func TestAsk(t *testing.T) {
	data := func() io.Reader { return strings.NewReader("data") }
	all := "CONTENT_LENGTH PATH_INFO SCRIPT_NAME"
	for _, tt := range []struct {
		name    string
		asked   *Asked
		want    map[string]string
		without string
		role    Role
		length  int64
	}{
		{"an answer", nil, map[string]string{"SCRIPT_NAME": "/m", "PATH_INFO": "/x", "CONTENT_LENGTH": "0"}, "FCGI_ROLE FCGI_DATA_LENGTH", Responder, 0},
		{"an answer, said so", &Asked{}, map[string]string{"FCGI_ROLE": "RESPONDER", "PATH_INFO": "/x"}, "FCGI_DATA_LENGTH", Responder, 0},
		{"an authorizer", &Asked{Role: Authorizer}, map[string]string{"FCGI_ROLE": "AUTHORIZER", "REQUEST_METHOD": "GET", "REQUEST_URI": "/m/x?q", "HTTP_X": "y"}, all + " FCGI_DATA_LENGTH", Authorizer, 0},
		{"a filter", &Asked{Role: Filter, Data: data, DataLength: 4, DataModified: 7, DataType: "text/x"},
			map[string]string{"FCGI_ROLE": "FILTER", "FCGI_DATA_LENGTH": "4", "FCGI_DATA_LAST_MOD": "7", "FCGI_DATA_TYPE": "text/x", "PATH_INFO": "/x"}, "PATH_TRANSLATED", Filter, 4},
		{"a filter of nothing", &Asked{Role: Filter, Data: data}, map[string]string{"FCGI_DATA_LENGTH": "0", "FCGI_DATA_LAST_MOD": "0"}, "FCGI_DATA_TYPE", Filter, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/m/x?q", nil)
			r.Header.Set("X", "y")
			r = r.WithContext(Ask(r.Context(), tt.asked))
			req, err := FromHTTP(r, Target{ScriptName: "/m", PathInfo: "/x"})
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range tt.want {
				if got, ok := Lookup(req.Params, name); !ok || got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for name := range strings.FieldsSeq(tt.without) {
				if got, ok := Lookup(req.Params, name); ok {
					t.Errorf("%s is there: %q", name, got)
				}
			}
			if req.Role != tt.role || RoleOf(r.Context()) != tt.role || req.DataLength != tt.length || (req.Data != nil) != (tt.role == Filter) {
				t.Errorf("role %s, %d bytes of data %v", req.Role, req.DataLength, req.Data)
			}
			if tt.role == Filter { // for each request anew
				for range 2 {
					if req, err = FromHTTP(r, Target{}); err != nil {
						t.Fatal(err)
					}
					if b, err := io.ReadAll(req.Data); string(b) != "data" || err != nil {
						t.Errorf("data %q, %v", b, err)
					}
				}
			}
		})
	}
}

// TestAskBeforeFront: what is asked goes before the role of a front server, and
// can be taken away.
func TestAskBeforeFront(t *testing.T) {
	r, err := ToHTTP(context.Background(), Incoming{Protocol: "fastcgi", Role: Authorizer, Params: []Param{{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := RoleOf(r.Context()); got != Authorizer {
		t.Errorf("by the front server: %s", got)
	}
	ctx := Ask(r.Context(), &Asked{Role: Filter})
	if got := RoleOf(ctx); got != Filter {
		t.Errorf("as it is asked: %s", got)
	}
	if got := RoleOf(Ask(ctx, nil)); got != Authorizer {
		t.Errorf("taken away: %s", got)
	}
	if Ask(r.Context(), nil) != r.Context() {
		t.Error("to take away what is not there makes another context")
	}
	req, err := FromHTTP(r, Target{PathInfo: "/", ContentLength: -1})
	if _, ok := Lookup(req.Params, "PATH_INFO"); ok || err != nil {
		t.Errorf("an authorizer's request that is passed on has a PATH_INFO: %v", err)
	}
}

func TestVariables(t *testing.T) {
	head := &Head{Variables: []Param{{"B", "1"}, {"a_b", "2"}, {"B", "3"}}}
	header := http.Header{"X": {"y"}}
	head.ShowVariables(context.Background(), header)
	if len(header) != 1 {
		t.Errorf("a responder shows %v", header)
	}
	head.ShowVariables(Ask(context.Background(), &Asked{Role: Authorizer}), header)
	if got, want := Variables(header), []Param{{"B", "1"}, {"B", "3"}, {"a_b", "2"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(header) != 1 {
		t.Errorf("left are %v", header)
	}
}

func TestAddParams(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	if AddParams(r, nil) != r {
		t.Error("to add nothing makes another request")
	}
	r = AddParams(AddParams(r, []Param{{"A", "1"}, {"B", "1"}}), []Param{{"B", "2"}})
	target, _ := Split(r, "")
	req, err := FromHTTP(r, target)
	if err != nil {
		t.Fatal(err)
	}
	if req.Param("A") != "1" || req.Param("B") != "2" {
		t.Errorf("A %q, B %q", req.Param("A"), req.Param("B"))
	}
}
