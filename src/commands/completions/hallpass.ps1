# Completes the arguments of hallpass in PowerShell.
Register-ArgumentCompleter -Native -CommandName hallpass -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        ForEach-Object { if ($_.Value -is [string]) { $_.Value } else { $_.Extent.Text } })
    $program = Get-Command -CommandType Application hallpass | Select-Object -First 1
    foreach ($line in @(& $program complete "=$wordToComplete" @before 2>$null)) {
        $value, $about = $line -split "`t", 2
        # PowerShell completes files by itself.
        if ($value.StartsWith(':')) { continue }
        $text = $value
        if ($value -notmatch '^[A-Za-z0-9._:/=%+-]+$') { $text = "'" + $value.Replace("'", "''") + "'" }
        if (-not $about) { $about = $value }
        [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $about)
    }
}
