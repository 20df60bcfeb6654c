package server

import (
	"maps"
	"net/http"
	"slices"

	"millrace/gateway"
	"millrace/internal/placeholder"
)

// layerParams adds a route's parameters to what its app or back end is told,
// behind those of the client's certificate.
func layerParams(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	table := at.route.Params
	clients := tellsOfClients(at.site)
	if r := at.route; len(table) == 0 && (!clients || r.Files != nil || r.Respond != nil || r.Redirect != nil || r.Status || r.Health) {
		return next, nil
	}
	names := slices.Sorted(maps.Keys(table))
	var texts []*placeholder.Text
	for _, name := range names {
		t, err := at.text("params", table[name])
		if err != nil {
			return nil, err
		}
		texts = append(texts, t)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		params := make([]gateway.Param, 0, len(names))
		if clients {
			params = appendClient(params, r.TLS)
		}
		for i, name := range names {
			params = append(params, gateway.Param{Name: name, Value: string(texts[i].AppendLine(nil, r))})
		}
		next.ServeHTTP(w, gateway.AddParams(r, params))
	}), nil
}
