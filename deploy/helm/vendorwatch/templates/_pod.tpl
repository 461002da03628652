{{/* Labels of every object. */}}
{{- define "vendorwatch.labels" -}}
app.kubernetes.io/part-of: vendorwatch
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* bridge.yml: `bridge.config` plus the database that `bridge.database` selects. */}}
{{- define "vendorwatch.bridge.config" -}}
{{- $database := dict "database" "sqlite:////var/lib/vendorwatch/bridge.db" -}}
{{- if eq .Values.bridge.database "postgresql" -}}
{{- $database = dict "database_file" "/etc/vendorwatch-secrets/database.url" -}}
{{- end -}}
{{- merge $database .Values.bridge.config | toYaml -}}
{{- end }}

{{/* The pod of one program. Called with a dict: root, name, port, values, config (its file's text), state, spread. */}}
{{- define "vendorwatch.pod" -}}
metadata:
  labels:
    app.kubernetes.io/name: vendorwatch-{{ .name }}
    {{- include "vendorwatch.labels" .root | nindent 4 }}
  annotations:
    checksum/config: {{ sha256sum .config }} # a change of the configuration rolls the pods
    {{- with .values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: vendorwatch-{{ .name }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 15
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- if .spread }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          app.kubernetes.io/name: vendorwatch-{{ .name }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
  {{- with get $.values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        - vendorwatch-{{ .name }}
        - --config.file=/etc/vendorwatch/{{ .name }}.yml
        {{- if and (eq .name "exporter") .state }}
        - --storage.path=/var/lib/vendorwatch
        {{- else if eq .name "exporter" }}
        - --storage.url-file=/etc/vendorwatch-secrets/database.url
        {{- end }}
        - --web.listen-address=:{{ .port }}
        {{- range .values.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      ports:
        - name: http
          containerPort: {{ .port }}
      startupProbe:
        httpGet: {path: /-/healthy, port: http}
        periodSeconds: 2
        failureThreshold: 30
      livenessProbe:
        httpGet: {path: /-/healthy, port: http}
        periodSeconds: 15
        timeoutSeconds: 5
      readinessProbe: # of the bridge: the database is writable
        httpGet: {path: /-/ready, port: http}
        {{- if eq .name "bridge" }}
        periodSeconds: 5
        timeoutSeconds: 7
        {{- else }}
        periodSeconds: 10
        timeoutSeconds: 5
        {{- end }}
      {{- if and (eq .name "bridge") (not .state) }}
      lifecycle: # the Service stops routing to this pod meanwhile: not every vendor resends a refused webhook
        preStop:
          exec: {command: [sleep, "5"]}
      {{- end }}
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - {name: config, mountPath: /etc/vendorwatch, readOnly: true}
        - {name: secrets, mountPath: /etc/vendorwatch-secrets, readOnly: true}
        {{- if .state }}
        - {name: state, mountPath: /var/lib/vendorwatch}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: config
      configMap: {name: vendorwatch-{{ .name }}}
    - name: secrets
      secret: {secretName: {{ .values.existingSecret }}, defaultMode: 288} # 0440
    - name: tmp
      emptyDir: {sizeLimit: 16Mi}
{{- end }}

{{/* The volume of a program that keeps its state in files. Called with a dict: values, mode. */}}
{{- define "vendorwatch.state" -}}
volumeClaimTemplates:
  - metadata:
      name: state
    spec:
      accessModes: [{{ .mode }}]
      {{- with .values.storage.className }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests: {storage: {{ .values.storage.size }}}
{{- end }}
