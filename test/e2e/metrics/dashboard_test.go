package metrics

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// panel is one panel of the dashboard.
type panel struct {
	Type        string            `json:"type"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Datasource  map[string]string `json:"datasource"`
	Targets     []struct {
		Expr       string            `json:"expr"`
		Datasource map[string]string `json:"datasource"`
	} `json:"targets"`
}

// dashboard is config/grafana/imagecache.json.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	content, err := os.ReadFile(root("config", "grafana", "imagecache.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// withoutVariables is an expression as Grafana sends it, over a time that the test has.
func withoutVariables(expression string) string {
	return strings.NewReplacer("$__rate_interval", "30s", "$__range", "5m", "$runner_namespace", ".*").Replace(expression)
}

// mayBeEmpty are panels of which a healthy world has no data.
var mayBeEmpty = []string{"Errors"}

func TestEveryPanelHasData(t *testing.T) {
	published(t)
	panels := 0
	for _, panel := range readDashboard(t).Panels {
		if panel.Type == "row" {
			continue
		}
		panels++
		if panel.Title == "" || panel.Description == "" || panel.Datasource["uid"] != "${datasource}" || len(panel.Targets) == 0 {
			t.Errorf("panel %q lacks a title, a description, the data source variable or a query", panel.Title)
		}
		for _, target := range panel.Targets {
			expression := withoutVariables(target.Expr)
			if strings.Contains(expression, "$") {
				t.Errorf("panel %q has a variable that this test does not know: %s", panel.Title, target.Expr)
			}
			eventually(t, func() error {
				samples, err := server.query(t.Context(), expression)
				if err != nil {
					return fmt.Errorf("panel %q: %s: %w", panel.Title, expression, err)
				}
				if len(samples) == 0 && !slices.Contains(mayBeEmpty, panel.Title) {
					return fmt.Errorf("panel %q has no data: %s", panel.Title, expression)
				}
				return nil
			})
		}
	}
	if panels < 30 {
		t.Errorf("only %d panels were looked at", panels)
	}
}

func TestVariableListsTheRunners(t *testing.T) {
	definition := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for _, variable := range readDashboard(t).Templating.List {
		if variable.Name == "datasource" {
			continue
		}
		parts := definition.FindStringSubmatch(variable.Definition)
		if parts == nil {
			t.Fatalf("the variable %s is defined as %q", variable.Name, variable.Definition)
		}
		eventually(t, func() error {
			var values []string
			err := server.ask(t.Context(), "/api/v1/label/"+parts[2]+"/values", url.Values{"match[]": {parts[1]}}, &values)
			if err == nil && !slices.Equal(values, []string{namespace}) {
				err = fmt.Errorf("the variable %s has the values %v", variable.Name, values)
			}
			return err
		})
	}
}

// named finds the names of metrics in an expression.
var named = regexp.MustCompile(`\b(?:imagecache|controller_runtime|workqueue|leader_election|process|rest_client)_\w+|\bup\b`)

func TestNoQueryNamesAMetricThatIsNotThere(t *testing.T) {
	published(t)
	wanted := map[string]bool{}
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			for _, name := range named.FindAllString(target.Expr, -1) {
				wanted[name] = true
			}
		}
	}
	rules, _ := alerts(t)
	for _, rule := range rules {
		names := named.FindAllString(rule.Expr, -1)
		if len(names) == 0 {
			t.Errorf("no metric was found in the expression of %s", rule.Alert)
		}
		for _, name := range names {
			wanted[name] = true
		}
	}
	eventually(t, func() error {
		var known []string
		if err := server.ask(t.Context(), "/api/v1/label/__name__/values", nil, &known); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			if !slices.Contains(known, name) {
				return fmt.Errorf("no metric is called %s", name)
			}
		}
		return nil
	})
}

func TestAlertsAreHealthyAndNoneFires(t *testing.T) {
	published(t)
	rules, _ := alerts(t)
	eventually(t, func() error {
		var answer struct {
			Groups []struct {
				Rules []struct{ Name, Health, State, LastError string } `json:"rules"`
			} `json:"groups"`
		}
		if err := server.ask(t.Context(), "/api/v1/rules", nil, &answer); err != nil {
			return err
		}
		var healthy int
		for _, group := range answer.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" || rule.State != "inactive" {
					return fmt.Errorf("%s is %s and %s: %s", rule.Name, rule.Health, rule.State, rule.LastError)
				}
				healthy++
			}
		}
		if healthy != len(rules) {
			return fmt.Errorf("Prometheus evaluates %d of %d alerts", healthy, len(rules))
		}
		return nil
	})
}
