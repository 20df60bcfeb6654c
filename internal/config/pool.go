package config

import "fmt"

// number is one of the keys that say how many workers an app has.
type number struct {
	key   string
	value *int
}

// numbers begins with workers; the others are in the order in which none may
// be larger than the next.
func (a *App) numbers() []number {
	return []number{
		{"workers", &a.Workers},
		{"min_spare", &a.MinSpare},
		{"max_spare", &a.MaxSpare},
		{"max_children", &a.MaxChildren},
	}
}

// spareKeys are what workers stands for.
var spareKeys = []string{"min_spare", "max_spare", "max_children"}

// fitPool works out an app's number of workers. What was given stands;
// defaults give way to it and to each other; only what was given can
// contradict itself. Zero is what was not given, and so is a number that
// fitPool itself put there before.
func (k *checker) fitPool(path, where string, app *App) {
	all := app.numbers()
	for _, n := range all {
		at := join(path, n.key)
		if k.bad[at] {
			return
		}
		if filled, ok := k.c.src.filled[at]; ok && filled == *n.value && !k.given(at) {
			*n.value = 0
		}
	}
	if at := join(path, "threads"); k.c.src.filled[at] == app.Threads && !k.given(at) {
		app.Threads = 0
	}
	fixed, spares := *all[0].value, all[1:]
	if fixed > 0 {
		for _, n := range spares {
			if *n.value != 0 {
				k.contradict(path, where, n, fmt.Sprintf("workers = %d fixes the number of workers", fixed), "leave out one of the two")
			}
		}
	}
	// Where prefork has threads, spares are threads and max_children processes.
	each := 1
	if app.Method == "prefork" {
		each = max(app.Threads, 1)
	}
	for i, n := range spares {
		for _, more := range spares[i+1:] {
			most, of := *more.value, fmt.Sprint(*more.value)
			if more.key == "max_children" && each > 1 {
				most, of = most*each, fmt.Sprintf("%d processes of %d threads", most, each)
			}
			if fixed == 0 && *more.value != 0 && *n.value > most {
				k.contradict(path, where, n, fmt.Sprintf("is more than %s, which is %s", more.key, of), "min_spare ≤ max_spare ≤ max_children")
			}
		}
	}

	before := *app
	if fixed > 0 {
		app.MinSpare, app.MaxSpare, app.MaxChildren = fixed, fixed, fixed
	}
	if app.MaxChildren != 0 && app.Threads > app.MaxChildren && app.Method == "threaded" {
		key := "max_children"
		if fixed > 0 {
			key = "workers"
		}
		k.contradict(path, where, number{"threads", &app.Threads}, fmt.Sprintf("is more than %s, which is %d", key, app.MaxChildren), "a worker is a thread: no process needs more of them than there are in all")
	}
	if app.MaxChildren == 0 {
		app.MaxChildren = max(defaultMaxChildren, (max(app.MinSpare, app.MaxSpare)+each-1)/each)
		if app.Method == "threaded" {
			app.MaxChildren = max(app.MaxChildren, app.Threads)
		}
	}
	if app.MaxSpare == 0 {
		app.MaxSpare = min(max(defaultMaxSpare, app.MinSpare), app.MaxChildren*each)
	}
	if app.MinSpare == 0 {
		app.MinSpare = min(defaultMinSpare, app.MaxSpare)
	}
	if app.Method == "threaded" && app.Threads == 0 {
		app.Threads = app.MaxChildren
		k.c.src.fill(join(path, "threads"), app.Threads)
	}
	for i, n := range before.numbers() {
		if *n.value == 0 && *all[i].value != 0 {
			k.c.src.fill(join(path, n.key), *all[i].value)
		}
	}
}

func (k *checker) contradict(path, where string, n number, reason, hint string) {
	at := spot{path: join(path, n.key), name: n.key, where: where, form: &form{}}
	k.refuse(at, fmt.Sprint(*n.value), &refusal{reason, hint})
}
