package inspect

// Finding is what one check of the doctor came to.
type Finding struct {
	// Area is what was looked at: cluster, runner, project, AWS or machine.
	Area   string `json:"area"`
	Check  string `json:"check"`
	Result Result `json:"result"`
	// Message says what was found, and Advice what to do about it.
	Message string `json:"message,omitempty"`
	Advice  string `json:"advice,omitempty"`
}

// Result is how a check ended.
type Result string

// Results of checks.
const (
	ResultOK      Result = "OK"
	ResultWarning Result = "Warning"
	ResultFailed  Result = "Failed"
	// ResultSkipped: it could not be checked from here; Message says why.
	ResultSkipped Result = "Skipped"
)

// Areas of checks.
const (
	areaCluster = "Cluster"
	areaMachine = "Machine"
	areaRunner  = "Runner"
	areaProject = "Project"
	areaAWS     = "AWS"
)

// findings collects what the checks of one area come to.
type findings struct {
	area string
	list []Finding
}

func (f *findings) add(check string, result Result, message, advice string) {
	f.list = append(f.list, Finding{Area: f.area, Check: check, Result: result, Message: message, Advice: advice})
}

func (f *findings) ok(check, message string) { f.add(check, ResultOK, message, "") }

// is adds a finding that is OK if holds, and else failed with advice.
func (f *findings) is(holds bool, check, message, advice string) {
	if holds {
		f.ok(check, message)
		return
	}
	f.add(check, ResultFailed, message, advice)
}
