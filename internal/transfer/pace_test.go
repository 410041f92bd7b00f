package transfer

import (
	"testing"
	"time"
)

func TestBlobsThatShareASlowLineAreFewer(t *testing.T) {
	const mega, giga = 1_000_000, 1_000_000_000
	for name, test := range map[string]struct {
		pace pace
		next int64
		want bool
	}{
		"one blob may always be sent":              {pace{}, 50 * giga, true},
		"small blobs go four at a time":            {pace{running: 3, left: 30 * mega}, 10 * mega, true},
		"and not five":                             {pace{running: 4, left: 40 * mega}, 10 * mega, false},
		"two large ones would wait for each other": {pace{running: 1, left: 5 * giga}, 5 * giga, false},
		"the rest of one leaves room":              {pace{running: 1, left: 100 * mega, sent: 200 * mega, elapsed: 20 * time.Second}, giga, true},
		"an unknown line may be slow":              {pace{running: 1, left: 450 * mega}, 450 * mega, false},
		"and takes what a slow one takes in time":  {pace{running: 1, left: 150 * mega}, 150 * mega, true},
		"a fast line shows itself at once":         {pace{running: 1, left: 5 * giga, sent: 100 * mega, elapsed: time.Second}, 5 * giga, true},
		"a fast line takes two large ones":         {pace{running: 1, left: 5 * giga, sent: 2 * giga, elapsed: 20 * time.Second}, 5 * giga, true},
		"a slow line takes one small one":          {pace{running: 1, left: 100 * mega, sent: 10 * mega, elapsed: 20 * time.Second}, 100 * mega, false},
		"a line that gives nothing takes no more":  {pace{running: 1, left: 1, elapsed: time.Minute}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.pace.admits(test.next); got != test.want {
				t.Errorf("admitted is %v", got)
			}
		})
	}
}

func TestRequestsOfASlowLineAreSmaller(t *testing.T) {
	const part, most = partBytes, chunkBytes
	over := func(megabits float64, running int) pace {
		return pace{running: running, sent: int64(megabits * 1e6 / 8 * 60), elapsed: time.Minute}
	}
	for name, test := range map[string]struct {
		pace pace
		want int64
	}{
		"the first one is small, whatever the line": {pace{running: 1}, part},
		"a line that takes a part at once is fast":  {pace{running: 1, sent: part, elapsed: time.Second}, most},
		"blobs share it":                         {pace{running: 4, sent: part, elapsed: 9 * time.Second}, 2 * part},
		"100 Mbit/s":                             {over(100, 1), most},
		"8 Mbit/s, the slowest for large layers": {over(8, 1), most},
		"4 Mbit/s":                               {over(4, 1), 4 * part},
		"1 Mbit/s":                               {over(1, 1), part},
		"a line that gives nothing still gets a part": {pace{running: 1, elapsed: time.Minute}, part},
		"blobs share a slow line":                     {over(8, 4), 2 * part},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.pace.chunk(part, most); got != test.want {
				t.Errorf("the next request sends %d bytes, want %d", got, test.want)
			}
		})
	}
}
