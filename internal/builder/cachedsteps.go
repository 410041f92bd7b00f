package builder

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// How builders report a step, and that they take it from the engine's layer cache.
var (
	// #5 [stage 2/3] RUN make, of BuildKit
	buildKitStep = regexp.MustCompile(`^#(\d+) \[[^\]]*\b\d+/\d+\] (\S+)`)
	// Step 2/3 : RUN make, of Docker without BuildKit; [1/2] STEP 2/3: RUN make, of podman
	otherStep = regexp.MustCompile(`^(?:\[\d+/\d+\] )?(?:Step|STEP) \d+/\d+ ?: (\S+)`)
	// #5 CACHED, of BuildKit
	buildKitCached = regexp.MustCompile(`^#(\d+) CACHED$`)
	// ---> Using cache, of Docker without BuildKit; --> Using cache 0123…, of podman
	usingCache = regexp.MustCompile(`^-{2,3}> Using cache\b`)
)

// cachedSteps counts the RUN steps of a build that came from the engine's layer cache. It reads what the builder says.
// Other steps don't count. Most machines have base images from elsewhere, and every build with Features copies files
// and sets users that another one did before.
type cachedSteps struct {
	mu    sync.Mutex
	rest  []byte
	runs  map[string]bool // BuildKit's RUN steps, by number
	last  string          // the instruction of the step before, without BuildKit
	count int
}

func (c *cachedSteps) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = append(c.rest, p...)
	for {
		line, rest, ended := bytes.Cut(c.rest, []byte("\n"))
		if !ended {
			break
		}
		c.read(string(line))
		c.rest = rest
	}
	if len(c.rest) > maxCachedLine { // no line of these
		c.rest = nil
	}
	return len(p), nil
}

// maxCachedLine bounds how much of a line without an end is kept.
const maxCachedLine = 64 << 10

func (c *cachedSteps) read(line string) {
	line = strings.TrimSpace(timestamp.ReplaceAllString(line, ""))
	if step := buildKitStep.FindStringSubmatch(line); step != nil && isRun(step[2]) {
		if c.runs == nil {
			c.runs = map[string]bool{}
		}
		c.runs[step[1]] = true
	}
	if step := otherStep.FindStringSubmatch(line); step != nil {
		c.last = step[1]
	}
	cached := buildKitCached.FindStringSubmatch(line)
	if cached != nil && c.runs[cached[1]] || isRun(c.last) && usingCache.MatchString(line) {
		c.count++
	}
}

func isRun(instruction string) bool { return strings.EqualFold(instruction, "RUN") }

func (c *cachedSteps) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}
