{{/* What every object carries beside its own labels. They are in no selector, so that an upgrade may change them. */}}
{{- define "imagecache.releaseLabels" -}}
app.kubernetes.io/name: imagecache
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The pods of the manager. The same as in config/manager, so that a cluster can move from one to the other. */}}
{{- define "imagecache.managerLabels" -}}
app.kubernetes.io/name: imagecache
app.kubernetes.io/component: manager
{{- end }}
