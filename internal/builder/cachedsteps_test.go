package builder

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestStepsFromTheLayerCacheAreCounted(t *testing.T) {
	tests := map[string]struct {
		output string
		want   int
	}{
		"BuildKit": {`[2026-11-29T09:55:38.950Z] #0 building with "default" instance using docker driver
#4 [dev_container_auto_added_stage_label 1/3] FROM 127.0.0.1:43731/base:1@sha256:79bf
#4 CACHED
#5 [dev_container_auto_added_stage_label 2/3] RUN one
[2026-11-29T09:55:38.960Z] #5 CACHED
#6 [linux/amd64 stage-1 2/3] RUN two
#6 CACHED
#7 [linux/amd64 stage-1 3/3] COPY . /
#7 CACHED
#8 exporting to image
`, 2},
		"BuildKit, only a base": {"#4 [1/2] FROM base:1\n#4 CACHED\n#5 [2/2] RUN one\n#5 0.1 #5 CACHED\n#5 DONE 0.3s\n", 0},
		"Docker 20.10":          {"Step 1/3 : FROM base\n ---> 0123\nStep 2/3 : RUN one\n ---> Using cache\nStep 3/3 : USER root\n ---> Using cache\n", 1},
		"podman":                {"[1/2] STEP 1/3: FROM base\n[1/2] STEP 2/3: RUN one\n--> Using cache 0123456789abcdef\n[1/2] STEP 3/3: USER root\n--> Using cache 4567\nCOMMIT x\n", 1},
		"a step that says so":   {"#5 [2/2] RUN echo CACHED\n#5 0.2 CACHED\n#5 DONE 0.2s\n", 0},
		"nothing":               {"", 0},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			for _, reader := range []io.Reader{strings.NewReader(test.output), iotest.OneByteReader(strings.NewReader(test.output))} {
				counted := &cachedSteps{}
				if _, err := io.Copy(counted, reader); err != nil {
					t.Fatal(err)
				}
				if got := counted.total(); got != test.want {
					t.Errorf("%d steps, want %d", got, test.want)
				}
			}
		})
	}
}
