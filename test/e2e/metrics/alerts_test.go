package metrics

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// alert is one rule of config/prometheus/rules.yaml.
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// alerts are all alerts, and the rules as a Prometheus without operator reads them.
func alerts(t *testing.T) (all []alert, file []byte) {
	t.Helper()
	content, err := os.ReadFile(root("config", "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec struct {
			Groups []struct {
				Name  string  `json:"name"`
				Rules []alert `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	var whole struct {
		Spec any `json:"spec"`
	}
	if err := errors.Join(yaml.Unmarshal(content, &object), yaml.Unmarshal(content, &whole)); err != nil {
		t.Fatal(err)
	}
	for _, group := range object.Spec.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("config/prometheus/rules.yaml has no alerts")
	}
	if file, err = yaml.Marshal(whole.Spec); err != nil {
		t.Fatal(err)
	}
	return all, file
}

func TestEachAlertFiresAndKeepsQuietAsItsCasesSay(t *testing.T) {
	all, file := alerts(t)
	folder := t.TempDir()
	cases, err := os.ReadFile(filepath.Join("testdata", "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"alerts.yaml": file, "alerts_test.yaml": cases} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, folder, "", "check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")
	promtool(t, folder, "", "test", "rules", "alerts_test.yaml")
	for _, alert := range all {
		for _, name := range []string{alert.Alert + " fires", alert.Alert + " keeps quiet"} {
			if !strings.Contains(string(cases), "- name: "+name+"\n") {
				t.Errorf("testdata/alerts_test.yaml has no case %q", name)
			}
		}
	}
}

func TestEachAlertSaysWhatItIsAndWhatToDo(t *testing.T) {
	page, err := os.ReadFile(root("docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := alerts(t)
	var names []string
	for _, alert := range all {
		names = append(names, alert.Alert)
		if !slices.Contains([]string{"critical", "warning", "info"}, alert.Labels["severity"]) {
			t.Errorf("%s has the severity %q", alert.Alert, alert.Labels["severity"])
		}
		for _, annotation := range []string{"summary", "description"} {
			if text := alert.Annotations[annotation]; !strings.HasSuffix(text, ".") {
				t.Errorf("the %s of %s is no sentence: %q", annotation, alert.Alert, text)
			}
		}
		if want := "/docs/alerts.md#" + strings.ToLower(alert.Alert); !strings.HasSuffix(alert.Annotations["runbook_url"], want) {
			t.Errorf("the runbook of %s is %q, not …%s", alert.Alert, alert.Annotations["runbook_url"], want)
		}
	}
	var sections []string
	for _, section := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(page), -1) {
		sections = append(sections, section[1])
	}
	if !slices.Equal(names, sections) {
		t.Errorf("docs/alerts.md has the sections %v, and there are the alerts %v", sections, names)
	}
}
