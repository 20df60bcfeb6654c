package main

// What can be measured.

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// scenario is one name of -only.
type scenario struct {
	name, what string
	run        func(ctx context.Context, s *settings) error
}

func catalogue() []scenario {
	all := []scenario{
		{"hello", "WSGI hello, every stack", compare(helloRow)},
		{"django", "Django hello", compare(djangoRow)},
		{"django-page", "a Django template of 20 KB", compare(djangoPageRow)},
		{"django-list", "a list of Django's ORM, on SQLite", compare(djangoListRow)},
		{"upload", "100 KB up", compare(uploadRow)},
		{"download", "1 MB down", compare(downloadRow)},
		{"stream", "a response in pieces, of no declared length", compare(streamRow)},
		{"connections", "1 to 10,000 connections: rate and memory", connections},
		{"workers", "1 to 64 workers: the cost of dispatch", workers},
		{"overload", "5 × the capacity of a view that waits", overload},
		{"mixed", "a view of 200 ms among views of 1 ms", mixed},
		{"start", "from exec to the first answer", startUp},
		{"fork", "from a worker's death to the next answer", fork},
		{"reload", "reloads under load", reload},
		{"fairness", "what a short request pays for several on one worker", fairness},
		{"slow", "a fast client beside slow ones", slow},
		{"memory", "8 Django workers", footprint},
		{"fcgi", "the FastCGI packages beside net/http/fcgi", packages},
		{"private-file", "a file that an app must allow", privateFile},
		{"cached-page", "a page from the cache", cachedPage},
	}
	for _, row := range staticRows {
		all = append(all, scenario{row.name, row.title, static(row)})
	}
	for _, row := range gatewayRows {
		all = append(all, scenario{row.name, row.title, gateway(row)})
	}
	return append(all, scenario{"gateway-slow", "the gateway beside slow clients", gatewaySlow})
}

// choose finds what -only names, in the catalogue's order; empty: everything.
func choose(only string) ([]scenario, error) {
	all := catalogue()
	if only == "" {
		return all, nil
	}
	var chosen []scenario
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.ContainsFunc(all, func(one scenario) bool { return one.is(name) }) {
			return nil, fmt.Errorf("nothing is called %q in -only: -list shows what is", name)
		}
	}
	for _, one := range all {
		if slices.ContainsFunc(names, one.is) {
			chosen = append(chosen, one)
		}
	}
	return chosen, nil
}

// is tells whether a name of -only means the scenario.
func (one scenario) is(name string) bool {
	return one.name == name || strings.HasPrefix(one.name, name+"-")
}
