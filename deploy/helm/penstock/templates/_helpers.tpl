{{- define "penstock.labels" -}}
app.kubernetes.io/name: penstock
app.kubernetes.io/part-of: penstock
{{- end }}

{{- define "penstock.chartLabels" -}}
{{ include "penstock.labels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "penstock.poolNamespace" -}}
{{ .Values.poolNamespace | default .Release.Namespace }}
{{- end }}

{{/* The configuration file: what the values say, and `config` over it. */}}
{{- define "penstock.configuration" -}}
{{- $kubernetes := dict "namespace" .Release.Namespace "poolNamespace" (include "penstock.poolNamespace" .)
      "loadBalancerClass" .Values.loadBalancerClass "classless" .Values.classless }}
{{- $base := dict "interfaces" .Values.interfaces "workers" .Values.workers "kubernetes" $kubernetes }}
{{- if .Values.serviceMonitor.enabled }}{{ $_ := set $base "metricsBindAddress" "0.0.0.0:10249" }}{{ end }}
{{- mergeOverwrite $base (deepCopy .Values.config) | toYaml }}
{{- end }}

{{/* What both containers have in common. */}}
{{- define "penstock.container" -}}
image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
env:
  - name: NODE_NAME
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  {{- if .Values.apiServer.host }}
  - {name: KUBERNETES_SERVICE_HOST, value: {{ .Values.apiServer.host | quote }}}
  - {name: KUBERNETES_SERVICE_PORT, value: {{ .Values.apiServer.port | quote }}}
  {{- end }}
resources: {{ toYaml .Values.resources | nindent 2 }}
securityContext:
  # The image's file capabilities are no escalation: the container has them already.
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    # NET_ADMIN: XDP, routes and neighbours, the device penstock0. NET_RAW: AF_XDP, ARP and ND.
    # BPF, PERFMON: load the classifier. IPC_LOCK: packet memory beyond RLIMIT_MEMLOCK.
    add: [NET_ADMIN, NET_RAW, BPF, PERFMON, IPC_LOCK]
volumeMounts:
  - {name: config, mountPath: /etc/penstock, readOnly: true}
  - {name: run, mountPath: /run}
  - {name: tun, mountPath: /dev/net/tun}
  {{- if .Values.config.persist }}
  - {name: bpffs, mountPath: /sys/fs/bpf}
  {{- end }}
{{- end }}
