package limit

import (
	"math"
	"testing"
	"time"
)

// A burst may be as large as it likes.
func TestHugeBurst(t *testing.T) {
	for _, burst := range []int{106_752, 1_000_000, math.MaxInt32, math.MaxInt} {
		b := NewBuckets()
		for range 100 {
			if wait := b.Take([]byte("x"), Rate{1, 24 * time.Hour}, burst); wait != 0 {
				t.Errorf("of a burst of %d one has to wait for %v", burst, wait)
				break
			}
		}
	}
}
