package inspect

import "imagecache.dev/internal/message"

// Finding is the result of one check of the doctor.
type Finding struct {
	// Area is what was checked: cluster, runner, project, AWS or machine.
	Area   string `json:"area"`
	Check  string `json:"check"`
	Result Result `json:"result"`
	// Message describes what was found, and Advice what to do about it.
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
	// ResultSkipped: the check was not possible from here; Message tells why.
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

// findings collects the results of the checks of one area.
type findings struct {
	area string
	list []Finding
}

func (f *findings) add(check string, result Result, text, advice string) {
	found := Finding{Area: f.area, Check: check, Result: result, Message: message.Redact(text), Advice: advice}
	f.list = append(f.list, found)
}

func (f *findings) ok(check, message string) { f.add(check, ResultOK, message, "") }

// is adds a finding: OK if holds is true, and otherwise failed with advice.
func (f *findings) is(holds bool, check, message, advice string) {
	if holds {
		f.ok(check, message)
		return
	}
	f.add(check, ResultFailed, message, advice)
}
