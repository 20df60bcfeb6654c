//go:build !race

package authorize

const raceEnabled = false
