// Command metrics writes docs/metrics.md: every metric of the manager and of imagecache prepare, with its type, labels and
// meaning, from the source that makes them.
//
//	metrics OUTPUT.md
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
)

const head = `# Metrics

The manager serves its metrics in Prometheus' format at ` + "`/metrics`" + `, port 8443, over TLS, only to clients that
Kubernetes authorizes. They need ` + "`get`" + ` on the path, as in the cluster role ` + "`imagecache-metrics-reader`" + `.
` + "`config/prometheus`" + ` has a ServiceMonitor and alert rules ([alerts.md](alerts.md)), ` + "`config/grafana`" + ` a dashboard.

` + "```console" + `
kubectl create serviceaccount -n default looker
kubectl create clusterrolebinding looker --clusterrole=imagecache-metrics-reader --serviceaccount=default:looker
kubectl port-forward -n imagecache-system deployment/imagecache-manager 8443 &
curl -sk -H "Authorization: Bearer $(kubectl create token -n default looker)" https://localhost:8443/metrics | grep ^imagecache_
` + "```" + `

- Counters count what was written into an object's status, or done in AWS, once: a pass that is repeated counts nothing
  twice. They begin at zero when the manager starts or another replica takes over; ` + "`rate`" + ` and ` + "`increase`" + ` know that.
- Gauges of what there is are served by the replica that leads alone.
- ` + "`runner_namespace`" + ` is the namespace of the runner. No metric has a label for the project, of which there may be ten
  thousand ([why](adr/0011-metrics-by-runner.md)); ` + "`imagecache projects`" + ` has those figures.
- ` + "`reason`" + ` is a reason of a condition: [troubleshooting.md](troubleshooting.md).
- Beside these the manager serves controller-runtime's own (` + "`controller_runtime_*`, `workqueue_*`, `rest_client_*`" + `,
  ` + "`leader_election_*`" + `) and the process's (` + "`process_*`, `go_*`" + `).

This page is generated from the source.
`

// runnerTitle is the title of the tool's metrics.
const runnerTitle = "imagecache prepare"

// sources are the files with metrics, each with its title; a title of "" takes those of the declarations.
var sources = []struct{ path, title string }{
	{"controllers/metric/metric.go", ""},
	{"controllers/census/collector.go", ""},
	{"internal/aws/metrics.go", "Requests to AWS"},
	{"cmd/imagecache/metrics.go", runnerTitle},
}

// metric is one row.
type metric struct {
	name, kind, help string
	labels           []string
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: metrics OUTPUT.md")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

func run(output string) error {
	var page bytes.Buffer
	page.WriteString(head)
	constants := map[string]string{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source.path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		addConstants(constants, file)
		if err := writeSource(&page, source.title, file, reader{constants}); err != nil {
			return fmt.Errorf("%s: %w", source.path, err)
		}
	}
	if err := os.WriteFile(output, page.Bytes(), 0o644); err != nil { //nolint:gosec // documentation is for everybody
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// runnerHead comes before the metrics of the tool.
const runnerHead = `
The tool ends before anybody could scrape it. With ` + "`--metrics-file FOLDER/NAME.prom`" + `, or
` + "`IMAGECACHE_METRICS_FILE`" + `, it adds what it counted to a file that [node_exporter's textfile
collector](https://github.com/prometheus/node_exporter#textfile-collector) reads. All runs of a machine add to one file:
counters and histograms grow, as those of a process that never ends do. The file is replaced in one step, so that no half
of it is ever read; beside it lies an empty ` + "`NAME.prom.lock`" + `. A file that can't be written is told in the log and
stops no environment.
`

func writeSource(page *bytes.Buffer, title string, file *ast.File, reader reader) error {
	if title != "" {
		return reader.writeTable(page, title, "", file)
	}
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		title, rest, _ := strings.Cut(strings.TrimSpace(group.Doc.Text()), ".")
		if err := reader.writeTable(page, title, rest, group); err != nil {
			return err
		}
	}
	return nil
}

// addConstants adds the file's constants that are plain strings: names of labels.
func addConstants(constants map[string]string, file *ast.File) {
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
			for n, name := range spec.Names {
				if literal, ok := spec.Values[n].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					constants[name.Name], _ = strconv.Unquote(literal.Value)
				}
			}
		}
		return true
	})
}

// reader finds metrics in Go's source.
type reader struct{ constants map[string]string }

func (r reader) writeTable(page *bytes.Buffer, title, rest string, node ast.Node) error {
	metrics, err := r.metricsIn(node)
	if err != nil || len(metrics) == 0 {
		return err
	}
	fmt.Fprintf(page, "\n## %s\n", title)
	if title == runnerTitle {
		page.WriteString(runnerHead)
	}
	if rest = strings.Join(strings.Fields(rest), " "); rest != "" {
		fmt.Fprintf(page, "\n%s\n", rest)
	}
	page.WriteString("\n| name | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics {
		labels := "–"
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, strings.ReplaceAll(m.help, "|", `\|`))
	}
	return nil
}

func (r reader) metricsIn(node ast.Node) ([]metric, error) {
	var metrics []metric
	var failed error
	ast.Inspect(node, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		found, err := r.metricOf(call)
		if found != nil {
			metrics = append(metrics, *found)
		}
		failed = errors.Join(failed, err)
		return true
	})
	return metrics, failed
}

// metricOf is the metric that a call makes, nil if it makes none.
func (r reader) metricOf(call *ast.CallExpr) (*metric, error) {
	if function, ok := call.Fun.(*ast.SelectorExpr); ok && function.Sel.Name == "NewDesc" {
		return r.complete(metric{kind: "gauge", name: r.text(call.Args[0]), help: r.text(call.Args[1])}, call.Args[2])
	}
	if function, ok := call.Fun.(*ast.Ident); ok && (function.Name == "counter" || function.Name == "histogram") {
		labels := &ast.CompositeLit{}
		for _, argument := range call.Args[2:] {
			if _, isBuckets := argument.(*ast.CompositeLit); !isBuckets {
				labels.Elts = append(labels.Elts, argument)
			}
		}
		return r.complete(metric{kind: function.Name, name: r.text(call.Args[0]), help: r.text(call.Args[1])}, labels)
	}
	options, ok := call.Args[0].(*ast.CompositeLit)
	if !ok {
		return nil, nil
	}
	kind, ok := options.Type.(*ast.SelectorExpr)
	if !ok || !strings.HasSuffix(kind.Sel.Name, "Opts") {
		return nil, nil
	}
	found := metric{kind: strings.ToLower(strings.TrimSuffix(kind.Sel.Name, "Opts"))}
	for _, element := range options.Elts {
		field := element.(*ast.KeyValueExpr)
		switch field.Key.(*ast.Ident).Name {
		case "Name":
			found.name = r.text(field.Value)
		case "Help":
			found.help = r.text(field.Value)
		}
	}
	if len(call.Args) > 1 {
		return r.complete(found, call.Args[1])
	}
	return r.complete(found, nil)
}

// complete adds the labels, and makes sure that nothing is missing.
func (r reader) complete(found metric, labels ast.Expr) (*metric, error) {
	if list, ok := labels.(*ast.CompositeLit); ok {
		for _, element := range list.Elts {
			found.labels = append(found.labels, r.text(element))
		}
	}
	if found.name == "" || found.help == "" {
		return nil, fmt.Errorf("a metric's name or help is not a plain string: %q", found.name+found.help)
	}
	for _, label := range found.labels {
		if label == "" {
			return nil, fmt.Errorf("a label of %s is not a plain string", found.name)
		}
	}
	return &found, nil
}

// text is a string literal or constant, and empty where the source has anything else.
func (r reader) text(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.Ident:
		return r.constants[e.Name]
	case *ast.SelectorExpr:
		return r.constants[e.Sel.Name]
	}
	return ""
}
