package localcluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// metricsReader is the service account of whoever scrapes.
const metricsReader = "prometheus"

// MetricsReader makes a service account that may read the manager's metrics, as config/rbac lets one, and returns the path of a
// file with its token. It may be called again.
func (c *Cluster) MetricsReader(ctx context.Context) (tokenFile string, err error) {
	objects := fmt.Sprintf(`apiVersion: v1
kind: ServiceAccount
metadata:
  name: %[1]s
  namespace: %[2]s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: imagecache-metrics-reader
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: imagecache-metrics-reader
subjects:
- kind: ServiceAccount
  name: %[1]s
  namespace: %[2]s
`, metricsReader, managerNamespace)
	manifest := filepath.Join(c.dir, "metrics-reader.yaml")
	if err := os.WriteFile(manifest, []byte(objects), 0o600); err != nil {
		return "", fmt.Errorf("write metrics reader: %w", err)
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "-f", manifest); err != nil {
		return "", err
	}
	token, err := c.ServiceAccountToken(ctx, managerNamespace, metricsReader)
	if err != nil {
		return "", err
	}
	tokenFile = filepath.Join(c.dir, "metrics-token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		return "", fmt.Errorf("write metrics token: %w", err)
	}
	return tokenFile, nil
}

// PrometheusConfig writes a configuration with which a Prometheus scrapes the manager as the ServiceMonitor of
// config/prometheus has it scraped, and evaluates its alerts; and returns its path.
func (c *Cluster) PrometheusConfig(ctx context.Context, scrapeInterval string) (string, error) {
	tokenFile, err := c.MetricsReader(ctx)
	if err != nil {
		return "", err
	}
	rules, err := c.writeAlerts()
	if err != nil {
		return "", err
	}
	target := strings.TrimSuffix(strings.TrimPrefix(c.Metrics, "https://"), "/metrics")
	content, err := yaml.Marshal(map[string]any{
		"global":     map[string]any{"scrape_interval": scrapeInterval, "evaluation_interval": scrapeInterval},
		"rule_files": []string{rules},
		"scrape_configs": []map[string]any{{
			"job_name":       "imagecache",
			"scheme":         "https",
			"authorization":  map[string]any{"credentials_file": tokenFile},
			"tls_config":     map[string]any{"insecure_skip_verify": true},
			"static_configs": []map[string]any{{"targets": []string{target}}},
		}},
	})
	if err != nil {
		return "", fmt.Errorf("write Prometheus configuration: %w", err)
	}
	path := filepath.Join(c.dir, "prometheus.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", fmt.Errorf("write Prometheus configuration: %w", err)
	}
	return path, nil
}

// StartPrometheus runs a Prometheus with that configuration, and returns its URL. It ends with the cluster.
func (c *Cluster) StartPrometheus(ctx context.Context, program, scrapeInterval string) (url string, err error) {
	config, err := c.PrometheusConfig(ctx, scrapeInterval)
	if err != nil {
		return "", err
	}
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	address := "127.0.0.1:" + ports[0]
	c.prometheus, err = start(c.dir, "prometheus", nil, program,
		"--config.file", config, "--storage.tsdb.path", filepath.Join(c.dir, "prometheus"), "--web.listen-address", address)
	if err != nil {
		return "", err
	}
	url = "http://" + address
	return url, c.prometheus.until(ctx, func(ctx context.Context) error { return get(ctx, url+"/-/ready") })
}

// writeAlerts takes the alerts out of the operator's object.
func (c *Cluster) writeAlerts() (string, error) {
	source, err := os.ReadFile(filepath.Join(c.options.Config, "prometheus", "rules.yaml"))
	if err != nil {
		return "", fmt.Errorf("read alerts: %w", err)
	}
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(source, &object); err != nil {
		return "", fmt.Errorf("read alerts: %w", err)
	}
	content, err := yaml.Marshal(object.Spec)
	if err != nil {
		return "", fmt.Errorf("write alerts: %w", err)
	}
	path := filepath.Join(c.dir, "alerts.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", fmt.Errorf("write alerts: %w", err)
	}
	return path, nil
}
