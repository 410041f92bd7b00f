package cache

import (
	"fmt"
	"slices"
	"strings"

	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/runner"
)

// comparison is one pair of keys; one of them is nil where only the other exists.
type comparison struct {
	service       string
	before, after *hashed
}

// compared pairs the keys of two sources by service. Where one source has no services, its key is compared with that of
// the other's dev container, which comes first; and two cached images are compared as they are.
func compared(before, after []*hashed) []comparison {
	if before[0].Service == "" || after[0].Service == "" || before[0].told && after[0].told {
		return []comparison{{before: before[0], after: after[0]}}
	}
	before, after = alike(before, after[0]), alike(after, before[0])
	var pairs []comparison
	for _, key := range before {
		pairs = append(pairs, comparison{service: key.Service, before: key})
	}
	for _, key := range after {
		i := slices.IndexFunc(pairs, func(c comparison) bool { return c.service == key.Service })
		if i < 0 {
			pairs = append(pairs, comparison{service: key.Service, after: key})
			continue
		}
		pairs[i].after = key
	}
	return pairs
}

// alike returns the keys to compare with those of another source: all, or with a cached image, which is of one service,
// the key of that service.
func alike(keys []*hashed, other *hashed) []*hashed {
	if !other.told {
		return keys
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key *hashed) bool { return key.Service != other.Service })
}

func (h *hashCommand) printDiffs(before, after []*hashed) error {
	pairs := compared(before, after)
	if pairs[0].service == "" {
		return h.printDiff(pairs[0].before, pairs[0].after)
	}
	if h.output == cli.FormatJSON {
		return h.printJSON(map[string]any{"services": serviceDifferences(pairs)})
	}
	for i, pair := range pairs {
		heading := "Service " + pair.service + ":"
		switch {
		case pair.before == nil:
			heading += " only the second has it"
		case pair.after == nil:
			heading += " only the first has it"
		}
		if i > 0 {
			heading = "\n" + heading
		}
		if err := cli.WriteLine(h.streams.Out, heading); err != nil {
			return err
		}
		if pair.before == nil || pair.after == nil {
			continue
		}
		if err := h.printDiff(pair.before, pair.after); err != nil {
			return err
		}
	}
	return nil
}

// serviceDifference is one service in the JSON form of --diff. A hash is "" where the service does not exist.
type serviceDifference struct {
	Service     string            `json:"service"`
	Before      string            `json:"before,omitempty"`
	After       string            `json:"after,omitempty"`
	Differences []hash.Difference `json:"differences"`
}

func serviceDifferences(pairs []comparison) []serviceDifference {
	told := make([]serviceDifference, 0, len(pairs))
	for _, pair := range pairs {
		difference := serviceDifference{Service: pair.service, Differences: []hash.Difference{}}
		if pair.before != nil {
			difference.Before = pair.before.Hash
		}
		if pair.after != nil {
			difference.After = pair.after.Hash
		}
		if pair.before != nil && pair.after != nil {
			difference.Differences = append(difference.Differences, differencesOf(pair.before, pair.after)...)
		}
		told = append(told, difference)
	}
	return told
}

func (h *hashCommand) printDiff(before, after *hashed) error {
	differences := differencesOf(before, after)
	if h.output == cli.FormatJSON {
		if differences == nil {
			differences = []hash.Difference{}
		}
		return h.printJSON(map[string]any{"before": before.Hash, "after": after.Hash, "differences": differences})
	}
	if before.Hash == after.Hash {
		return cli.WriteLine(h.streams.Out, "The hash is the same: "+after.Hash)
	}
	if before.Platform != after.Platform {
		if err := cli.WriteLine(
			h.streams.Out, fmt.Sprintf("changed platform (%s → %s)", before.Platform, after.Platform),
		); err != nil {
			return err
		}
	}
	for _, difference := range differences {
		text := difference.String()
		if before.told || after.told {
			text, _, _ = strings.Cut(text, " (") // sizes are not known
		}
		if err := cli.WriteLine(h.streams.Out, text); err != nil {
			return err
		}
	}
	return nil
}

// differencesOf returns the inputs that differ between two keys. An input from a request holds only its name and
// digest.
func differencesOf(before, after *hashed) []hash.Difference {
	if !before.told && !after.told {
		return hash.Diff(before.Inputs, after.Inputs)
	}
	sides := [2][]hash.Input{}
	for i, side := range []*hashed{before, after} {
		sides[i] = side.Inputs
		if !side.told {
			sides[i] = toldInputs(runner.KeyInputs(side.Inputs))
		}
	}
	return hash.Diff(sides[0], sides[1])
}
